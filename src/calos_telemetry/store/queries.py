"""The documented questions, on either engine, with the names and the answers of PostgreSQL's functions.

``days`` are whole days of UTC, today among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Executable, func, select, text
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.errors import SettingsError
from calos_telemetry.store.tables import aggregates, errors, features, performance

MAX_DAYS = 366 * 10
_US_PER_MS = 1_000

Row = dict[str, Any]


def telemetry_summary(connection: Connection, install_id: str, days: int, now: int) -> list[Row]:
    """Return the uses of each feature; beside each the install's average answer time, failures and requests.

    The same as ``SELECT * FROM get_telemetry_summary(install, days)``.
    """
    first = _first_day(days, now)
    own = aggregates.c.install_id == install_id, aggregates.c.date >= date_of(first)
    used = func.sum(aggregates.c.value)
    query = select(aggregates.c.key, used).where(*own, aggregates.c.counter == "feature")
    totals = {
        "avg_response_time_ms": _average_ms(connection, install_id, first),
        "total_errors": _total(connection, *own, aggregates.c.counter == "error"),
        "total_requests": _total(connection, *own, aggregates.c.counter == "requests"),
    }
    found = connection.execute(query.group_by(aggregates.c.key).order_by(used.desc(), aggregates.c.key))
    return [{"feature_name": feature, "usage_count": int(uses), **totals} for feature, uses in found]


def popular_features(connection: Connection, how_many: int = 10) -> list[Row]:
    """Return the features that are used most.  The same as ``SELECT * FROM get_popular_features(how_many)``."""
    used = func.sum(features.c.usage_count)
    query = select(features.c.feature, func.count(features.c.install_id.distinct()), used)
    query = query.group_by(features.c.feature).order_by(used.desc(), features.c.feature).limit(how_many)
    return [
        {"feature_name": feature, "total_installs": installs, "total_usage": int(uses)}
        for feature, installs, uses in connection.execute(query)
    ]


def error_trend(connection: Connection, days: int, now: int) -> list[Row]:
    """Return, for each day and kind, the distinct failures last seen on it and how often they occurred, ever."""
    day = (errors.c.last_seen_at - errors.c.last_seen_at % MS_PER_DAY).label("day")
    query = select(day, errors.c.type, func.count(), func.sum(errors.c.occurrence_count))
    query = query.where(errors.c.last_seen_at >= _first_day(days, now)).group_by(day, errors.c.type)
    return [
        {"date": date_of(int(start)), "error_type": kind, "distinct_errors": distinct, "occurrences": int(times)}
        for start, kind, distinct, times in connection.execute(query.order_by(day.desc(), errors.c.type))
    ]


def daily(connection: Connection, days: int, now: int) -> list[Row]:
    """Return the newest days of the view ``telemetry_daily``, newest first."""
    query = text("SELECT * FROM telemetry_daily WHERE date >= :first ORDER BY date DESC, install_id")
    rows = connection.execute(query, {"first": date_of(_first_day(days, now))}).mappings()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _first_day(days: int, now: int) -> int:
    if not 1 <= days <= MAX_DAYS:
        raise SettingsError(f"days is {days}: give a whole number from 1 to {MAX_DAYS}")
    return now - now % MS_PER_DAY - (days - 1) * MS_PER_DAY


def _average_ms(connection: Connection, install_id: str, first: int) -> float | None:
    own = performance.c.install_id == install_id, performance.c.period >= first
    query = select(func.sum(performance.c.total), func.sum(performance.c.count))
    total, count = _only(connection, query.where(*own, performance.c.metric == "api_request"))
    return round(int(total) / int(count) / _US_PER_MS, 1) if count else None


def _total(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return int(_only(connection, select(func.sum(aggregates.c.value)).where(*conditions))[0] or 0)


def _only(connection: Connection, query: Executable) -> Sequence[Any]:
    return connection.execute(query).one()


def _plain(value: Any) -> Any:
    """Return a number as Python's own: PostgreSQL's sums and averages are decimals."""
    if value is None or isinstance(value, str | int):
        return value
    return int(value) if value == int(value) else round(float(value), 3)
