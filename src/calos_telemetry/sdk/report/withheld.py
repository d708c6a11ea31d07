"""What the policy file takes away from a report: rows that were stored before the file was there are left out.

They are not renamed to ``(withheld)``, as events are: under one name they would run into each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from calos_telemetry.contract.report import Report
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, PerformanceRow
from calos_telemetry.sdk.policy.restrictions import ERROR_TEXTS, Names, Restrictions

_OF_ROUTES: Final = frozenset({"api_request", "slow_request"})
_CUT: Final = 200  # characters of a key

CATEGORIES: Final[Mapping[str, frozenset[str]]] = {
    "feature_usage": frozenset({"feature", "choice", "feature_pair", "feature_transition"}),
    "performance": frozenset({"slow_query", "transaction", "failed_transaction"}),
    "session": frozenset(
        {"active_users_1d", "active_users_7d", "active_users_30d", "active_sessions", "session_seconds"}
    ),
    "error": frozenset({"error"}),
    "api_request": frozenset(
        {
            "requests", "method", "hour", "weekday", "style", "delivery", "bytes_in", "bytes_out", "country", "browser",
            "os", "slow_request", "database_us", "database_queries",
        }
    ),
}  # fmt: skip
"""The counters that hold what events of a type say."""

_FIELD_OF: Final[Mapping[str, str]] = {
    **{name: name for name in ("country", "browser", "os", "database_us", "database_queries")},
    "choice": "metadata",
    "slow_query": "slow",
}
"""The field of an event whose values a counter holds."""


def without_withheld(report: Report, restrictions: Restrictions) -> Report:
    """Return the report as the policy file lets it leave; the totals stay."""
    features, categories = restrictions.features, restrictions.categories
    uses = [] if "feature_usage" in categories else [row for row in report.features if row.feature not in features]
    return msgspec.structs.replace(
        report,
        features=uses,
        errors=[_without_texts(row, restrictions) for row in report.errors if _failure_may(row, restrictions)],
        performance=[row for row in report.performance if _series_may(row, restrictions)],
        aggregates=[row for row in report.aggregates if _count_may(row, restrictions)],
    )


def _failure_may(row: ErrorRow, restrictions: Restrictions) -> bool:
    return "error" not in restrictions.categories and (row.path is None or row.path not in restrictions.routes)


def _without_texts(row: ErrorRow, restrictions: Restrictions) -> ErrorRow:
    gone = restrictions.fields & ERROR_TEXTS
    return msgspec.structs.replace(row, **dict.fromkeys(gone, "")) if gone else row


def _series_may(row: PerformanceRow, restrictions: Restrictions) -> bool:
    if row.metric in _OF_ROUTES:
        return "api_request" not in restrictions.categories and row.path not in restrictions.routes
    if "performance" in restrictions.categories:
        return False
    return row.metric == "database_query" or row.path not in restrictions.features


def _count_may(row: AggregateRow, restrictions: Restrictions) -> bool:
    if any(row.counter in CATEGORIES[category] for category in restrictions.categories):
        return False
    if _FIELD_OF.get(row.counter) in restrictions.fields:
        return False
    if len(row.key) >= _CUT and restrictions.features != Names():
        return False  # the end of it may be the beginning of a name that is withheld
    match row.counter:
        case "country":
            return row.key not in restrictions.countries
        case "slow_request":
            return row.key not in restrictions.routes
        case _:
            return not any(name in restrictions.features for name in _features_in(row))


def _features_in(row: AggregateRow) -> Iterable[str]:
    """Return the names in a key that may be those of features."""
    match row.counter:
        case "feature" | "transaction":
            return (row.key,)
        case "failed_transaction":
            return (row.key.rpartition(":")[0],)
        case "feature_pair":
            return row.key.split(" + ")
        case "feature_transition":
            return row.key.split(" > ")
        case "choice":  # feature.key=value, and a feature's name may hold dots itself
            return (row.key[:at] for at, char in enumerate(row.key) if char == ".")
        case _:
            return ()
