"""The operator's summary of a window of hours, read from the events (DESIGN, issue "The whole path")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, func, select

from calos_telemetry.clock import MS_PER_HOUR
from calos_telemetry.errors import SettingsError
from calos_telemetry.store.json_fields import number_of, text_of
from calos_telemetry.store.tables import events

MAX_HOURS = 24 * 366 * 10
_US_PER_MS = 1_000


def summarise(connection: Connection, *, now: int, hours: int) -> dict[str, Any]:
    """Return the summary of the last ``hours`` before ``now`` (unix ms); durations in ms, ``None`` where none was measured.

    ``totalEvents`` counts uses of features.  Raises :class:`SettingsError` for a window that makes no sense.
    """
    if not 1 <= hours <= MAX_HOURS:
        raise SettingsError(f"hours is {hours}: give a whole number from 1 to {MAX_HOURS}")
    window = (events.c.created_at > now - hours * MS_PER_HOUR) & (events.c.created_at <= now)
    features = _features(connection, window)
    return {
        "period": f"{hours}h",
        "featureUsage": features,
        "performance": _performance(connection, window),
        "errors": _errors(connection, window),
        "apiStats": _api_stats(connection, window),
        "totalEvents": sum(row["count"] for row in features),
    }


def _text(field: str) -> ColumnElement[str]:
    return text_of(events.c.event_data, field)


def _number(field: str) -> ColumnElement[int]:
    return number_of(events.c.event_data, field)


def _features(connection: Connection, window: ColumnElement[bool]) -> list[dict[str, Any]]:
    name = _text("feature").label("feature")
    kinds = events.c.event_type.in_(("feature_usage", "api_request"))
    query = select(name, func.count().label("count")).where(window, kinds, name.is_not(None))
    return _rows(connection, query.group_by(name), ("feature", "count"))


def _performance(connection: Connection, window: ColumnElement[bool]) -> list[dict[str, Any]]:
    path = _text("path").label("path")
    query = select(path, _average_ms(), func.count().label("count")).where(window, _is("api_request"))
    return _rows(connection, query.group_by(path), ("path", "avg_duration", "count"))


def _errors(connection: Connection, window: ColumnElement[bool]) -> list[dict[str, Any]]:
    category = _text("category").label("error_type")
    query = select(category, func.count().label("count")).where(window, _is("error"))
    return _rows(connection, query.group_by(category), ("error_type", "count"))


def _api_stats(connection: Connection, window: ColumnElement[bool]) -> list[dict[str, Any]]:
    method, status = _text("method").label("method"), _number("status").label("status_code")
    query = select(method, status, func.count().label("count"), _average_ms()).where(window, _is("api_request"))
    return _rows(connection, query.group_by(method, status), ("method", "status_code", "count", "avg_duration"))


def _is(event_type: str) -> ColumnElement[bool]:
    return events.c.event_type == event_type


def _average_ms() -> ColumnElement[Any]:
    return (func.avg(_number("duration_us")) / float(_US_PER_MS)).label("avg_duration")


def _rows(connection: Connection, query: Executable, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows with the most frequent first; equal counts in the order of their names, so that answers are stable."""
    rows = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
    for row in rows:
        if row.get("avg_duration") is not None:
            row["avg_duration"] = round(float(row["avg_duration"]), 1)
    return sorted(rows, key=lambda row: (-row["count"], *(str(row[name]) for name in names)))
