"""The span of days that a question is about: today (UTC) and the days before it."""

from __future__ import annotations

from dataclasses import dataclass

from calos_telemetry.clock import MS_PER_DAY, date_of


@dataclass(frozen=True, slots=True)
class Period:
    """``days`` days that end with the one of ``now`` (unix ms)."""

    days: int
    now: int

    @property
    def since_ms(self) -> int:
        """Return the start of the first day, unix ms."""
        return self.now - self.now % MS_PER_DAY - (self.days - 1) * MS_PER_DAY

    @property
    def since(self) -> str:
        """Return the first day as ``YYYY-MM-DD``."""
        return date_of(self.since_ms)

    @property
    def until(self) -> str:
        """Return the last day as ``YYYY-MM-DD``."""
        return date_of(self.now)

    def dates(self) -> list[str]:
        """Return every day of the period, the oldest first."""
        return [date_of(self.since_ms + number * MS_PER_DAY) for number in range(self.days)]
