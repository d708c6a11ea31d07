"""Database queries, counted in the process: one record per operation and table every few seconds instead of one per query.

What a request spent in the database is in the request's own record and safe with it.  The table of operations is in
memory until the next record that is at least two seconds later, or the background thread, writes it down; a SIGKILL
costs at most those seconds of it, and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from weakref import WeakSet

from calos_telemetry.contract.events import Performance
from calos_telemetry.contract.histogram import bucket_of
from calos_telemetry.sdk.record.facts import Query

FLUSH_MS = 2_000
NEVER = 1 << 62
SLOW_US = 200_000
MOST_SERIES = 200
OTHER_SERIES = "OTHER (other)"
_MOST_DISTINCT = 10_000


class _Series:
    """What one operation on one table adds up to."""

    __slots__ = ("buckets", "count", "longest", "slow", "total")

    def __init__(self) -> None:
        self.count = self.total = self.longest = self.slow = 0
        self.buckets: dict[int, int] = {}

    def add(self, duration_us: int, times: int, slow_us: int) -> None:
        self.count += times
        self.total += duration_us * times
        self.longest = max(self.longest, duration_us)
        self.slow += times if duration_us >= slow_us else 0
        bucket = bucket_of(duration_us)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times


_tallies: WeakSet[QueryTally] = WeakSet()


def _reset_all() -> None:
    for tally in _tallies:
        tally.reset()


os.register_at_fork(after_in_child=_reset_all)


class QueryTally:
    """The table of one process; its lock is held for microseconds and shared with nobody outside."""

    def __init__(self) -> None:
        self.slow_us = SLOW_US
        self.sources: set[str] = set()  # who measures queries in this process, so that nobody measures them twice
        self.reset()
        _tallies.add(self)

    def reset(self) -> None:
        """Begin with nothing: in a forked child, whose parent writes its own numbers down, once."""
        self.due = NEVER  # unix ms at which what is counted is written down
        self._lock = threading.RLock()  # a signal handler may query, too
        self._counts: Counter[Query] = Counter()
        self._series: dict[str, _Series] = {}

    def add(self, queries: Iterable[Query], now: int) -> None:
        """Count queries at ``now`` (unix ms): equal ones at once, which costs a twentieth of a microsecond each."""
        if self.due == NEVER:
            self.due = now + FLUSH_MS
        with self._lock:
            self._counts.update(queries)
            if len(self._counts) > _MOST_DISTINCT:
                self._settle()

    def take(self) -> Iterator[Performance]:
        """Return what was counted since the last time, one event per operation and table."""
        self.due = NEVER
        with self._lock:
            self._settle()
            taken, self._series = self._series, {}
        return (_event(name, series) for name, series in taken.items())

    def _settle(self) -> None:
        counts, self._counts = self._counts, Counter()
        for (name, duration_us), times in counts.items():
            series = self._series.get(name) or self._new(name)
            series.add(duration_us, times, self.slow_us)

    def _new(self, name: str) -> _Series:
        if len(self._series) >= MOST_SERIES:
            name = OTHER_SERIES
        return self._series.setdefault(name, _Series())


def _event(name: str, series: _Series) -> Performance:
    return Performance(
        metric="database_query",
        name=name,
        duration_us=series.longest,
        count=series.count,
        total_us=series.total,
        buckets=series.buckets,
        slow=series.slow,
    )
