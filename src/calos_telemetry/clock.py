"""The one place that asks the operating system for the time.

Everything is UTC; stored times are unix milliseconds.  Tests freeze the wall clock with
:func:`calos_telemetry.testing.frozen_clock`, so no code calls ``time.time`` or ``datetime.now`` itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

MS_PER_SECOND = 1_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000

_source: Callable[[], int] = time.time_ns


def now_ms() -> int:
    """Return the wall clock as unix milliseconds."""
    return _source() // 1_000_000


def set_source(source: Callable[[], int] | None) -> None:
    """Replace the wall clock by ``source`` (unix nanoseconds); ``None`` brings the real one back.  For tests."""
    global _source  # noqa: PLW0603 - the one switch of the one clock
    _source = time.time_ns if source is None else source


def to_datetime(ms: int) -> datetime:
    """Return unix milliseconds as an aware UTC datetime."""
    return datetime.fromtimestamp(ms / MS_PER_SECOND, tz=UTC)


def to_iso(ms: int) -> str:
    """Return unix milliseconds as ``2026-11-25T12:00:00Z`` (whole seconds, as the signed documents carry them)."""
    return to_datetime(ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_iso(text: str) -> int:
    """Read ``2026-11-25T12:00:00Z`` as unix milliseconds.  Raises ``ValueError`` on any other form."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp()) * MS_PER_SECOND


def day_of(ms: int) -> int:
    """Return the number of whole days since 1970-01-01 UTC."""
    return ms // MS_PER_DAY


def date_of(ms: int) -> str:
    """Return the UTC date as ``YYYY-MM-DD``."""
    return to_datetime(ms).strftime("%Y-%m-%d")


def hour_of(ms: int) -> int:
    """Return unix milliseconds cut to the start of their UTC hour."""
    return ms - ms % MS_PER_HOUR
