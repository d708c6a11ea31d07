"""Which routes are slow: average and 95th percentile over all installs, from merged histograms."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, select

from calos_telemetry.contract.histogram import Histogram, merge, percentile
from calos_telemetry.server.analytics.period import Period
from calos_telemetry.store.tables import performance

AT_LEAST = 5  # requests: the 95th percentile of fewer is their maximum, and says nothing
_US_PER_MS = 1_000
_P95 = 0.95

_read = msgspec.json.Decoder(dict[int, int]).decode


@dataclass(frozen=True, slots=True)
class SlowRoute:
    """One route in a period; times in milliseconds."""

    path: str
    method: str
    count: int
    average_ms: float
    p95_ms: float
    total_ms: float


@dataclass(slots=True)
class _Sum:
    count: int = 0
    total: int = 0
    histogram: Histogram = field(default_factory=dict)


def slow_routes(connection: Connection, period: Period, limit: int = 10, at_least: int = AT_LEAST) -> list[SlowRoute]:
    """Return the routes with the highest 95th percentile among those with ``at_least`` requests, the slowest first.

    Routes without any measured time (an imported log has none) are left out.
    """
    columns = performance.c
    query = select(columns.method, columns.path, columns.count, columns.total, columns.histogram).where(
        columns.metric == "api_request", columns.period >= period.since_ms, columns.period <= period.now
    )
    sums: dict[tuple[str, str], _Sum] = {}
    for method, path, count, total, histogram in connection.execute(query):
        of_route = sums.setdefault((method, path), _Sum())
        of_route.count += count
        of_route.total += total
        merge(of_route.histogram, _read(histogram))
    routes = [_route(*key, it) for key, it in sums.items() if it.count >= at_least and it.total]
    return sorted(routes, key=lambda route: (-route.p95_ms, route.path, route.method))[:limit]


def _route(method: str, path: str, it: _Sum) -> SlowRoute:
    return SlowRoute(
        path=path,
        method=method,
        count=it.count,
        average_ms=it.total / it.count / _US_PER_MS,
        p95_ms=(percentile(it.histogram, _P95) or 0) / _US_PER_MS,
        total_ms=it.total / _US_PER_MS,
    )
