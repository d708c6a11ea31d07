"""telemetry_performance: latencies per hour and series, as histograms that can be merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from calos_telemetry.clock import MS_PER_DAY, hour_of
from calos_telemetry.contract.events import SLOW_REQUEST_US, Performance
from calos_telemetry.contract.histogram import Histogram, bucket_of, merge
from calos_telemetry.sdk.rollup import aggregates
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.limits import MAX_SERIES, OTHER
from calos_telemetry.store.tables import performance
from calos_telemetry.store.upserts import How, add_up

_HOW: dict[str, How] = {
    "count": "add",
    "total": "add",
    "max": "greatest",
    "histogram": "replace",
    "revision": "replace",
}

_LOOKUP = 400  # hours per query: SQLite allows 999 parameters where it is old


class Series(NamedTuple):
    """What a row is about: an hour (unix ms of its start) and the operation."""

    period: int
    metric: str
    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One or more durations in µs: how many, their sum, the longest, and how they are spread."""

    count: int
    total: int
    max: int
    histogram: Mapping[int, int]


@dataclass(slots=True)
class _Latencies:
    count: int = 0
    total: int = 0
    max: int = 0
    histogram: Histogram = field(default_factory=dict)

    def add(self, measured: Measured | _Latencies) -> None:
        self.count += measured.count
        self.total += measured.total
        self.max = max(self.max, measured.max)
        merge(self.histogram, measured.histogram)


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's durations to ``telemetry_performance``."""
    arrived: dict[Series, _Latencies] = {}
    for series, measured in measurements(batch):
        arrived.setdefault(series, _Latencies()).add(measured)
    there = _stored(connection, batch.install_id, {series.period for series in arrived})
    latencies = _bounded(connection, batch, arrived, there)
    for series, it in latencies.items():
        if series in there:
            merge(it.histogram, read_histogram(there[series]))
    add_up(connection, performance, [_row(batch, series, it) for series, it in latencies.items()], _HOW)


def measurements(batch: Batch) -> Iterator[tuple[Series, Measured]]:
    """Yield ``(series, durations)`` for requests that are alike, once more for the slow ones, and for each operation."""
    for like, requests in batch.alike:
        hour = hour_of(requests[0].at)
        durations = [us for asked in requests if (us := asked.event.duration_us) is not None]
        slow = [us for us in durations if us >= SLOW_REQUEST_US]
        for metric, some in (("api_request", durations), ("slow_request", slow)):
            if some:
                yield Series(hour, metric, like.method, like.path, like.status), _all_of(some)
    for at, operation in batch.of(Performance):
        yield Series(hour_of(at), _metric_of(operation), "", operation.name, 0), _measured(operation)


def _metric_of(operation: Performance) -> str:
    """Return the metric; failures are series of their own, so that they neither hide nor spoil the latencies."""
    return operation.metric if operation.success else f"failed_{operation.metric}"


def _measured(operation: Performance) -> Measured:
    if operation.buckets is None or operation.total_us is None:
        return _all_of([operation.duration_us])
    return Measured(operation.count, operation.total_us, operation.duration_us, operation.buckets)


def _all_of(durations: list[int]) -> Measured:
    return Measured(len(durations), sum(durations), max(durations), Counter(map(bucket_of, durations)))


def _bounded(
    connection: Connection, batch: Batch, arrived: dict[Series, _Latencies], there: Mapping[Series, str]
) -> dict[Series, _Latencies]:
    """Put series that an hour has no room for together, by metric, method and status."""
    over = _overflow(arrived, there)
    if not over:
        return arrived
    bounded: dict[Series, _Latencies] = {}
    overflow: Counter[tuple[int, str, str]] = Counter()
    for series, it in arrived.items():
        kept = series._replace(path=OTHER) if series in over else series
        bounded.setdefault(kept, _Latencies()).add(it)
        if series in over:
            overflow[series.period // MS_PER_DAY, "overflow", "performance"] += it.count
    aggregates.add(connection, batch, overflow)
    return bounded


def _overflow(arrived: Iterable[Series], there: Iterable[Series]) -> set[Series]:
    """Return which of the series that arrived have no room in their hour."""
    known = set(there)
    room = Counter(dict.fromkeys({series.period for series in arrived}, MAX_SERIES))
    room.subtract(Counter(series.period for series in known if series.path != OTHER))
    over = set()
    for series in sorted(set(arrived) - known):
        if room[series.period] <= 0:
            over.add(series)
        room[series.period] -= 1
    return over


def _stored(connection: Connection, install_id: str, hours: set[int]) -> dict[Series, str]:
    """Return the histograms of these hours that are in the database already, as they are kept.

    Read, merged and written back inside the drain's one write transaction, so nobody can come between.
    """
    columns = performance.c
    key = (columns.period, columns.metric, columns.method, columns.path, columns.status)
    found: dict[Series, str] = {}
    listed = sorted(hours)
    for start in range(0, len(listed), _LOOKUP):
        some = columns.period.in_(listed[start : start + _LOOKUP])
        query = select(*key, columns.histogram).where(columns.install_id == install_id, some)
        found.update({Series(*series): histogram for *series, histogram in connection.execute(query)})
    return found


def read_histogram(text: str) -> Histogram:
    """Read a histogram column."""
    return msgspec.json.decode(text, type=dict[int, int])


def _row(batch: Batch, series: Series, latencies: _Latencies) -> dict[str, Any]:
    return {
        "install_id": batch.install_id,
        **series._asdict(),
        "count": latencies.count,
        "total": latencies.total,
        "max": latencies.max,
        "histogram": msgspec.json.encode(dict(sorted(latencies.histogram.items()))).decode(),
        "revision": batch.revision,
    }
