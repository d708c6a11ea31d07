"""Hours → days: the install counts latencies by the hour, a report carries one row a day and series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from calos_telemetry.clock import date_of
from calos_telemetry.contract.histogram import Histogram, merge, pack
from calos_telemetry.contract.rows import PerformanceRow
from calos_telemetry.sdk.rollup.performance import read_histogram


class DaySeries(NamedTuple):
    """What a row of a report is about: the day (unix ms of its start) and the operation."""

    day: int
    metric: str
    method: str
    path: str
    status: int


def add_up(series: DaySeries, hours: Iterable[Any], *, revision: int = 0, last: int) -> PerformanceRow:
    """Return the row of one day: ``hours`` are rows of ``telemetry_performance``, all that belong to ``series``.

    It holds all hours of the day as they are now.  Its revision is the newest of theirs and of ``revision``, but stays
    within the report, which ends at ``last``: an hour that changed later brings the day into the next report again.
    """
    histogram: Histogram = {}
    count = total = longest = 0
    for hour in hours:
        merge(histogram, read_histogram(hour.histogram))
        count += hour.count
        total += hour.total
        longest = max(longest, hour.max)
        revision = max(revision, hour.revision)
    return PerformanceRow(
        day=date_of(series.day),
        metric=series.metric,
        method=series.method,
        path=series.path,
        status=series.status,
        count=count,
        total=total,
        max=longest,
        histogram=pack(histogram),
        revision=min(revision, last),
    )
