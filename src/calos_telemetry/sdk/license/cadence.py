"""When to verify next: pure functions of what is known, with the randomness handed in."""

from __future__ import annotations

from typing import Annotated

import msgspec

from calos_telemetry.contract.report import CLOCK_TOLERANCE_MS, NextCheck
from calos_telemetry.contract.tiers import DAY, Tier, terms_of

PLAN = "plan.json"
_SOONEST_RETRY_MS = 60_000
_FIRST_JITTER_MS = 6 * 60_000  # one minute would bring twelve times the usual load after an outage of six hours
_FIRST_WINDOW_MS = 10_000
_MS = 1_000


class Plan(msgspec.Struct, frozen=True):
    """When the next verification is due, when that was planned (unix ms), and how many have failed in a row.

    ``about`` is the proof of the license key at that time: another key is verified at once.
    """

    due_at: int
    made_at: int
    failures: Annotated[int, msgspec.Meta(ge=0)] = 0
    about: str | None = None

    def is_due(self, now: int, about: str | None) -> bool:
        """Say whether the time has come to verify the license key that ``about`` proves.

        A clock that was set back behind the moment of planning must not silence the install until it has caught up.
        """
        return now >= self.due_at or now < self.made_at - CLOCK_TOLERANCE_MS or about != self.about


def first(now: int, chance: float) -> Plan:
    """Plan the first verification of a new install: within seconds, so that its operator sees that it works."""
    return Plan(now + int(chance * _FIRST_WINDOW_MS), now)


def after_answer(window: NextCheck, tier: Tier, now: int, chance: float) -> Plan:
    """Plan the next verification inside the server's window.

    A window that makes no sense (it has passed, or lies beyond twice the tier's period) is replaced by what is
    left of the tier's own period after its first third, so that neither a wrong clock nor a wrong answer silences an install.
    """
    period = _period(tier)
    begin, end = window.not_before, window.not_after
    if not now <= begin <= end <= now + 2 * period:
        begin, end = now + period // 3, now + period
    return Plan(begin + int(chance * (end - begin)), now)


def after_failure(plan: Plan, tier: Tier, now: int, chance: float) -> Plan:
    """Plan the next attempt: full jitter below a limit that doubles, up to a third of the tier's period."""
    limit = min(_FIRST_JITTER_MS << min(plan.failures, 20), _period(tier) // 3)
    return Plan(now + _SOONEST_RETRY_MS + int(chance * limit), now, plan.failures + 1)


def _period(tier: Tier) -> int:
    return (terms_of(tier).verify_every or DAY) * _MS
