"""The product questions answered in plain Python from every row that was ever written: what each engine must say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table

from calos_telemetry.contract.histogram import Histogram, merge, percentile
from calos_telemetry.server.analytics.errors import Failure
from calos_telemetry.server.analytics.features import PopularFeature
from calos_telemetry.server.analytics.overview import Overview
from calos_telemetry.server.analytics.performance import AT_LEAST, SlowRoute
from calos_telemetry.server.analytics.period import Period

Rows = Sequence[Mapping[str, Any]]


def newest(table: Table, rows: Rows) -> list[Mapping[str, Any]]:
    """Return of each key the row with the highest revision."""
    kept: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        key = tuple(row[column.name] for column in table.primary_key)
        if key not in kept or row["revision"] > kept[key]["revision"]:
            kept[key] = row
    return list(kept.values())


def within(aggregates: Rows, period: Period) -> list[Mapping[str, Any]]:
    return [row for row in aggregates if period.since <= row["date"] <= period.until]


def overview(aggregates: Rows, period: Period) -> Overview:
    rows = within(aggregates, period)
    requests = [row for row in rows if row["counter"] == "requests"]
    return Overview(
        installs=len({row["install_id"] for row in rows}),
        requests=sum(row["value"] for row in requests),
        server_errors=sum(row["value"] for row in requests if row["key"] == "5xx"),
        feature_uses=sum(row["value"] for row in rows if row["counter"] == "feature"),
    )


def popular(aggregates: Rows, period: Period, limit: int = 10) -> list[PopularFeature]:
    uses: Counter[str] = Counter()
    installs: defaultdict[str, set[str]] = defaultdict(set)
    for row in within(aggregates, period):
        if row["counter"] == "feature":
            uses[row["key"]] += row["value"]
            installs[row["key"]].add(row["install_id"])
    found = [PopularFeature(key, len(installs[key]), uses[key]) for key in uses]
    return sorted(found, key=lambda one: (-one.uses, one.feature))[:limit]


def by_key(aggregates: Rows, period: Period, counter: str, *columns: str) -> Counter[tuple[str, ...]]:
    sums: Counter[tuple[str, ...]] = Counter()
    for row in within(aggregates, period):
        if row["counter"] == counter:
            sums[tuple(row[column] for column in columns)] += row["value"]
    return sums


def slow_routes(performance: Rows, period: Period, limit: int = 10) -> list[SlowRoute]:
    groups: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in performance:
        if row["metric"] == "api_request" and period.since_ms <= row["period"] <= period.now:
            groups[row["path"], row["method"]].append(row)
    found = [_route(*key, rows) for key, rows in groups.items()]
    counted = [route for route in found if route.count >= AT_LEAST and route.total_ms]
    return sorted(counted, key=lambda route: (-route.p95_ms, route.path, route.method))[:limit]


def _route(path: str, method: str, rows: Rows) -> SlowRoute:
    histogram: Histogram = {}
    for row in rows:
        merge(histogram, msgspec.json.decode(row["histogram"], type=dict[int, int]))
    count, total = sum(row["count"] for row in rows), sum(row["total"] for row in rows)
    p95 = (percentile(histogram, 0.95) or 0) / 1_000
    return SlowRoute(path, method, count, total / count / 1_000, p95, total / 1_000)


def failures(errors: Iterable[Mapping[str, Any]], period: Period, limit: int = 10) -> list[Failure]:
    groups: defaultdict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in errors:
        if row["last_seen_at"] >= period.since_ms:
            groups[row["fingerprint"], row["type"], row["name"]].append(row)
    found = [(key[0], _failure(key[1], key[2], rows)) for key, rows in groups.items()]
    found.sort(key=lambda one: (-one[1].installs, -one[1].occurrences, one[0]))
    return [failure for _, failure in found[:limit]]


def _failure(kind: str, name: str, rows: Rows) -> Failure:
    return Failure(
        type=kind,
        name=name,
        message=min(row["message"] for row in rows),
        installs=len({row["install_id"] for row in rows}),
        occurrences=sum(row["occurrence_count"] for row in rows),
        first_seen_at=min(row["first_seen_at"] for row in rows),
        last_seen_at=max(row["last_seen_at"] for row in rows),
    )
