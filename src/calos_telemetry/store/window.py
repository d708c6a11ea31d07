"""How a window of time is put together from what the tables hold by the day, by the hour and by the event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.store.tally import Range


@dataclass(frozen=True, slots=True)
class Window:
    """A window (unix ms) and its parts: what lies in whole days, in whole hours, and what is left at the edges."""

    whole: Range

    @property
    def days(self) -> Range:
        """Return the whole days in it, which may be none."""
        return _inner(self.whole, MS_PER_DAY)

    @property
    def hours(self) -> Range:
        """Return the whole hours in it, those of whole days among them."""
        return _inner(self.whole, MS_PER_HOUR)

    def beside_days(self) -> list[Range]:
        """Return what lies before and behind the whole days."""
        return list(_around(self.whole, self.days))

    def edges(self) -> list[Range]:
        """Return what lies before and behind the whole hours."""
        return list(_around(self.whole, self.hours))


def widened(some: Range, unit: int) -> Range:
    """Return the whole units that a range touches."""
    return Range(some.start - some.start % unit, some.end + -some.end % unit)


def _inner(whole: Range, unit: int) -> Range:
    start, end = whole.start + -whole.start % unit, whole.end - whole.end % unit
    return Range(start, end) if start < end else Range(whole.end, whole.end)


def _around(whole: Range, inner: Range) -> Iterator[Range]:
    for some in (Range(whole.start, inner.start), Range(inner.end, whole.end)):
        if some.start < some.end:
            yield some
