"""A clock that stands still until the test moves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from calos_telemetry import clock

_NS_PER_MS = 1_000_000


class FrozenClock:
    """The wall clock of this process, as far as telemetry asks for it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def move(self, *, days: float = 0, hours: float = 0, seconds: float = 0) -> None:
        """Move the clock; a negative number sets it back."""
        self.now += timedelta(days=days, hours=hours, seconds=seconds)

    def _ns(self) -> int:
        return round(self.now.timestamp() * 1_000) * _NS_PER_MS


@contextmanager
def frozen_clock(now: datetime) -> Iterator[FrozenClock]:
    """Let telemetry of this process see ``now`` until the end of the block.

    Raises ``ValueError`` for a time without a zone.  Measured durations go on: they come from another clock.
    """
    if now.tzinfo is None:
        raise ValueError(f"{now!r} has no time zone: give one, such as tzinfo=UTC")
    frozen = FrozenClock(now)
    clock.set_source(frozen._ns)  # noqa: SLF001 - its other half
    try:
        yield frozen
    finally:
        clock.set_source(None)
