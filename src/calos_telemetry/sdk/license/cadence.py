"""When to verify next: pure functions of what is known, with the randomness handed in."""

from __future__ import annotations

from dataclasses import dataclass

from calos_telemetry.contract.report import NextCheck
from calos_telemetry.contract.tiers import DAY, Tier, terms_of

_FIRST_RETRY_MS = 60_000
_FIRST_WINDOW_MS = 10_000
_MS = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """When the next verification is due (unix ms), and how many have failed in a row."""

    due_at: int
    failures: int = 0


def first(now: int, chance: float) -> Plan:
    """Plan the first verification of a new install: within seconds, so that its operator sees that it works."""
    return Plan(now + int(chance * _FIRST_WINDOW_MS))


def after_answer(window: NextCheck, tier: Tier, now: int, chance: float) -> Plan:
    """Plan the next verification inside the server's window.

    A window that makes no sense (it has passed, or lies beyond twice the tier's period) is replaced by the tier's own
    period, so that neither a wrong clock nor a wrong answer silences an install.
    """
    period = (terms_of(tier).verify_every or DAY) * _MS
    begin, end = window.not_before, window.not_after
    if not now <= begin <= end <= now + 2 * period:
        begin, end = now + period * 2 // 3, now + period
    return Plan(begin + int(chance * (end - begin)))


def after_failure(plan: Plan, tier: Tier, now: int, chance: float) -> Plan:
    """Plan the next attempt: full jitter below a limit that doubles, up to a third of the tier's period."""
    third = (terms_of(tier).verify_every or DAY) * _MS // 3
    limit = min(_FIRST_RETRY_MS << min(plan.failures, 20), third)
    return Plan(now + _FIRST_RETRY_MS + int(chance * limit), plan.failures + 1)
