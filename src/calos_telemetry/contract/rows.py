"""The rollup rows that leave an install: the current value of each, and the revision that last changed it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from calos_telemetry.contract.events import Category, FeatureName, Method, Status, Template
from calos_telemetry.contract.fields import (
    MAX_MESSAGE,
    MAX_NAME,
    MAX_STACK,
    Count,
    Moment,
    Sensitivity,
    declared,
)
from calos_telemetry.contract.histogram import MAX_BUCKET

_INTERACTION = Sensitivity.INTERACTION

Revision = Annotated[
    int, declared("number of the drain that last changed the row (unix ms)", "makes repeats harmless", ge=0)
]
Date = Annotated[str, declared("UTC date, YYYY-MM-DD", "shows trends", pattern=r"^\d{4}-\d{2}-\d{2}$")]
Buckets = Annotated[
    list[Count],
    declared(
        "latency buckets (log-linear, 5 bits) in order: distance from the one before, count, …",
        "gives percentiles that can be merged",
        max_length=2 * (MAX_BUCKET + 1),
    ),
]


class FeatureRow(msgspec.Struct, frozen=True, kw_only=True):
    """How often one feature was used on one install, ever."""

    feature: FeatureName
    usage_count: Annotated[Count, declared("uses", "shows which features are used", _INTERACTION)]
    first_used_at: Annotated[Moment, declared("first use, unix ms", "shows adoption", _INTERACTION)]
    last_used_at: Annotated[Moment, declared("last use, unix ms", "shows retention", _INTERACTION)]
    revision: Revision


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One deduplicated failure of one install."""

    fingerprint: Annotated[
        str,
        declared(
            "hash of type, name, innermost frame and the template a router told",
            "tells failures apart",
            pattern=r"^[0-9a-f]{16}$",
        ),
    ]
    type: Category
    name: Annotated[str, declared("class of the exception", "groups failures", max_length=MAX_NAME)]
    message: Annotated[
        str, declared("scrubbed message", "explains the failure", required=False, max_length=MAX_MESSAGE)
    ]
    stack: Annotated[
        str, declared("at most five scrubbed lines", "locates the failure", required=False, max_length=MAX_STACK)
    ]
    path: Template | None
    method: Method | None
    status_code: Status | None
    occurrence_count: Annotated[Count, declared("occurrences", "ranks failures")]
    first_seen_at: Annotated[Moment, declared("first occurrence, unix ms", "finds the release that broke it")]
    last_seen_at: Annotated[Moment, declared("last occurrence, unix ms", "shows whether it still happens")]
    revision: Revision


class PerformanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies of one series on one day (UTC) of one install; times in µs."""

    day: Date
    metric: Annotated[
        str,
        declared(
            "api_request, slow_request, database_query, transaction, failed_transaction",
            "tells series apart",
            max_length=40,
        ),
    ]
    method: Annotated[str, declared("HTTP method, or empty", "tells series apart", max_length=8)]
    path: Annotated[str, declared("template, or name of the operation", "tells series apart", max_length=200)]
    status: Annotated[int, declared("HTTP status code, or 0", "tells series apart", ge=0, le=999)]
    count: Annotated[Count, declared("measurements", "weighs the series")]
    total: Annotated[Count, declared("sum of durations in µs", "shows time lost")]
    max: Annotated[Count, declared("longest duration in µs", "shows outliers")]
    histogram: Buckets
    revision: Revision


class AggregateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One counted thing on one day (UTC) of one install."""

    date: Date
    counter: Annotated[str, declared("what is counted, from the list of counters", "names the number", max_length=40)]
    key: Annotated[str, declared("which one of them", "tells values apart", _INTERACTION, max_length=200)]
    value: Annotated[Count, declared("the count", "shows trends", _INTERACTION)]
    revision: Revision
