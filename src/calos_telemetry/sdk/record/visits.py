"""Sessions where the application names none: who asks and with what, under a key of the day, neither of which is kept.

Only an address of the public Internet tells visitors apart; a private one is that of a proxy, which all of them share.
The keys are read in the background, never while a request waits; until they are, such a request has no session.
"""

from __future__ import annotations

from datetime import date, timedelta
from ipaddress import ip_address
from pathlib import Path

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, now_ms
from calos_telemetry.sdk.obfuscate.identifiers import DailyKeys

_EPOCH = date(1970, 1, 1)
_REMEMBERED = 20_000
_Known = dict[int, str | None]


class Visits:
    """The hashes of one install's visits, the same in all of its processes."""

    def __init__(self, directory: Path) -> None:
        self._keys = DailyKeys(directory)
        self._days: dict[int, _Known] = {}

    def prepare(self) -> None:
        """Have the keys of the day, and an hour before midnight those of the next.  Raises :class:`StateError`."""
        now = now_ms()
        days = {now // MS_PER_DAY, (now + MS_PER_HOUR) // MS_PER_DAY}
        for day in sorted(days - self._days.keys()):
            self._keys.anonymous_session("", "", _date(day))
            self._days[day] = {}
        for day in self._days.keys() - days:
            del self._days[day]

    def session(self, address: str, user_agent: str, at: int) -> str | None:
        """Return 16 hex digits for the visitor on the day of ``at`` (unix ms); ``None`` where nobody can be told apart."""
        known = self._days.get(at // MS_PER_DAY)
        if known is None:
            return None
        visitor = hash((address, user_agent))  # of this process only: what is remembered leads back to nobody
        if visitor not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[visitor] = self._told_apart(address, user_agent, at)
        return known[visitor]

    def _told_apart(self, address: str, user_agent: str, at: int) -> str | None:
        try:
            public = ip_address(address).is_global
        except ValueError:
            return None
        return self._keys.anonymous_session(address, user_agent, _date(at // MS_PER_DAY)) if public else None


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
