"""Tier, host and settings → collect or not, send or not, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass

from calos_telemetry.contract.tiers import Telemetry, Tier, terms_of
from calos_telemetry.sdk.policy.hosts import MAX_HOST, is_development_host
from calos_telemetry.sdk.policy.watch import FilePolicy
from calos_telemetry.settings import Settings

_MAX_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something may happen, and why or why not, for people to read."""

    allowed: bool
    reason: str


_DEVELOPMENT = Decision(False, "development host: nothing is recorded")


class Policy:
    """The one decision, asked before recording, before storing and before sending."""

    def __init__(self, settings: Settings, proven: Tier) -> None:
        """``proven`` is the tier that a license key proves offline; community without one."""
        self._public_host = settings.public_host
        self._telemetry = _telemetry(settings, proven)
        self._opted_out = settings.telemetry_disabled and not self._telemetry.allowed
        self._by_host: dict[str, Decision] = {}
        self.note = _note(settings, proven)
        self.file = FilePolicy(settings, proven)
        if settings.public_host is not None and is_development_host(settings.public_host):
            self._telemetry = _DEVELOPMENT

    def collect(self, host: str) -> Decision:
        """Say whether a request that came in for ``host`` (its Host header) may be recorded.

        A configured public host wins over the header, so that no visitor can switch collection off.
        """
        if self._public_host is not None or not self._telemetry.allowed:
            return self._telemetry
        decision = self._by_host.get(host)
        if decision is None:
            decision = self._remember(host)
        return decision

    def verifies_alone(self, host: str) -> bool:
        """Say whether the license of an install that records nothing is to be verified all the same.

        It is where telemetry was switched off, or may be by a policy file, whose next change must be noticed; but not on
        a development host, which never verifies.
        """
        off = self._opted_out or self.file.restrictions is not None
        return off and not is_development_host(self._public_host or host)

    def store(self) -> Decision:
        """Say whether recorded events may be moved into the database, and log lines imported."""
        self.file.refresh()
        return self._telemetry

    def send(self) -> Decision:
        """Say whether a report may travel with the next verification."""
        self.file.refresh()
        return self._telemetry

    def _remember(self, host: str) -> Decision:
        decision = _DEVELOPMENT if len(host) > MAX_HOST or is_development_host(host) else self._telemetry
        if len(self._by_host) < _MAX_REMEMBERED:  # a visitor may send any header: never let them fill the memory
            self._by_host[host] = decision
        return decision


def _telemetry(settings: Settings, proven: Tier) -> Decision:
    if settings.telemetry_disabled and terms_of(proven).telemetry is Telemetry.OPTIONAL:
        return Decision(False, "switched off: TELEMETRY_DISABLED=true, and the license key proves Enterprise")
    return Decision(True, f"on: telemetry is {terms_of(proven).telemetry.value} for the {proven.value} tier")


def _note(settings: Settings, proven: Tier) -> str | None:
    """Return what an operator should know about a setting without effect; logged once and shown in status."""
    if not settings.telemetry_disabled or terms_of(proven).telemetry is Telemetry.OPTIONAL:
        return None
    return (
        "TELEMETRY_DISABLED=true has no effect: it needs a license key that proves the Enterprise tier offline,"
        f" and this install proves {proven.value}"
    )
