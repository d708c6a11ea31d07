"""Which routes are slow: average and 95th percentile over all installs, from merged histograms."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.contract.histogram import Histogram, percentile
from calos_telemetry.server.analytics.period import Period
from calos_telemetry.store.tables import latency, performance

AT_LEAST = 5  # requests: the 95th percentile of fewer is their maximum, and says nothing
_US_PER_MS = 1_000
_P95 = 0.95


@dataclass(frozen=True, slots=True)
class SlowRoute:
    """One route in a period; times in milliseconds."""

    path: str
    method: str
    count: int
    average_ms: float
    p95_ms: float
    total_ms: float


def slow_routes(connection: Connection, period: Period, limit: int = 10, at_least: int = AT_LEAST) -> list[SlowRoute]:
    """Return the routes with the highest 95th percentile among those with ``at_least`` requests, the slowest first.

    Routes without any measured time (an imported log has none) are left out.
    """
    columns = performance.c
    count, total = func.sum(columns.count), func.sum(columns.total)
    query = (
        select(columns.method, columns.path, count, total)
        .where(*_within(performance, period))
        .group_by(columns.method, columns.path)
        .having(count >= at_least, total > 0)
    )
    sums = {(method, path): (int(n), int(us)) for method, path, n, us in connection.execute(query)}
    histograms = _histograms(connection, period)
    routes = [_route(key, n, us, histograms.get(key, {})) for key, (n, us) in sums.items()]
    return sorted(routes, key=lambda route: (-route.p95_ms, route.path, route.method))[:limit]


def _histograms(connection: Connection, period: Period) -> dict[tuple[str, str], Histogram]:
    """Return the merged histogram of each route; the database adds up, so that a route costs what one install costs."""
    columns = latency.c
    query = (
        select(columns.method, columns.path, columns.bucket, func.sum(columns.count))
        .where(*_within(latency, period))
        .group_by(columns.method, columns.path, columns.bucket)
    )
    merged: dict[tuple[str, str], Histogram] = {}
    for method, path, bucket, count in connection.execute(query):
        merged.setdefault((method, path), {})[bucket] = int(count)
    return merged


def _within(table: Table, period: Period) -> list[ColumnElement[bool]]:
    return [table.c.metric == "api_request", table.c.period >= period.since_ms, table.c.period <= period.now]


def _route(key: tuple[str, str], count: int, total: int, histogram: Histogram) -> SlowRoute:
    method, path = key
    return SlowRoute(
        path=path,
        method=method,
        count=count,
        average_ms=total / count / _US_PER_MS,
        p95_ms=(percentile(histogram, _P95) or 0) / _US_PER_MS,
        total_ms=total / _US_PER_MS,
    )
