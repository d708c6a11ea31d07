"""Parts of days and of hours, read from the events themselves: their short rows, counted by what they have in common.

An event's JSON is never put together for it, but for the few measured operations at the edges of a window.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.clock import MS_PER_HOUR, date_of
from calos_telemetry.contract.events import Performance
from calos_telemetry.contract.histogram import bucket_of
from calos_telemetry.store.tables import event_parts, event_rows
from calos_telemetry.store.tally import Operation, Range, Route, Tally, is_slow

_REQUEST, _OPERATION, _FAILURE = "api_request", "performance", "error"
_LOOKUP = 400  # parts per query: SQLite allows 999 parameters where it is old
_HOURS_PER_DAY = 24


class Part(NamedTuple):
    """What many events have in common: their type and those of their fields."""

    event_type: str
    fields: dict[str, Any]

    @property
    def route(self) -> Route:
        """Return the kind of request, where it is one."""
        return Route(self.fields["method"], self.fields["path"], self.fields["status"])


Parts = Mapping[int, Part]


def read_parts(connection: Connection, install_id: str) -> Parts:
    """Return all parts of an install's events, but those of failures: these are as many as there were messages."""
    return _read(connection, install_id, event_parts.c.event_type != _FAILURE)


def _read_failures(connection: Connection, install_id: str, numbers: Iterable[int]) -> Parts:
    """Return those of the parts with these numbers that are failures of the install."""
    found: dict[int, Part] = {}
    listed = sorted(numbers)
    for start in range(0, len(listed), _LOOKUP):
        some = event_parts.c.id.in_(listed[start : start + _LOOKUP])
        found.update(_read(connection, install_id, some & (event_parts.c.event_type == _FAILURE)))
    return found


def _read(connection: Connection, install_id: str, those: ColumnElement[bool]) -> Parts:
    column = event_parts.c
    query = select(column.id, column.event_type, column.data).where(column.install_id == install_id, those)
    return {number: Part(kind, json.loads(data)) for number, kind, data in connection.execute(query)}


def add_counts(connection: Connection, install_id: str, parts: Parts, some: Range, tally: Tally) -> None:
    """Add what is counted by the day only, of a part of a day."""
    row = event_rows.c
    query = select(row.part, row.client, func.count()).where(*_within(some)).group_by(row.part, row.client)
    rows = connection.execute(query).all()
    failures = _read_failures(connection, install_id, {number for number, _, _ in rows} - parts.keys())
    parts = {**parts, **failures}
    for number, client, count in rows:
        part = parts.get(number)
        if part is None:
            continue
        if part.event_type == _REQUEST and client is not None and "country" in parts[client].fields:
            tally.countries[parts[client].fields["country"]] += count
        _count(part, count, tally)


def _count(part: Part, count: int, tally: Tally) -> None:
    fields = part.fields
    if part.event_type in (_REQUEST, "feature_usage") and fields.get("feature") is not None:
        tally.features[fields["feature"]] += count
    elif part.event_type == _FAILURE:
        tally.errors[fields["category"]] += count
    elif part.event_type == _OPERATION and fields["metric"] == "transaction" and fields.get("success") is False:
        tally.failures[f"{fields.get('name', '')}:{fields.get('error') or 'other'}"] += count


def add_untimed(connection: Connection, parts: Parts, some: Range, tally: Tally, *, counted: bool) -> None:
    """Add requests without a duration, which no table adds up.

    ``counted`` says that counters of whole days have them already.
    """
    row = event_rows.c
    hour = (row.created_at - row.created_at % MS_PER_HOUR).label("hour")
    query = select(hour, row.part, func.count()).where(*_within(some), row.duration_us.is_(None))
    for start, number, count in connection.execute(query.group_by(hour, row.part)):
        part = parts.get(number)
        if part is None or part.event_type != _REQUEST:
            continue
        tally.of_requests(part.route).count += count
        if not counted:
            tally.count_requests(part.route, start // MS_PER_HOUR % _HOURS_PER_DAY, count)


def add_measured(connection: Connection, parts: Parts, some: Range, tally: Tally) -> None:
    """Add the durations of a part of an hour, one by one."""
    row = event_rows.c
    hour = row.created_at - row.created_at % MS_PER_HOUR
    query = select(hour, row.part, row.duration_us).where(*_within(some), row.duration_us.is_not(None))
    alike: dict[tuple[int, int], list[int]] = {}
    for start, number, duration_us in connection.execute(query).all():
        alike.setdefault((start, number), []).append(duration_us)
    for (start, number), durations in alike.items():
        part = parts.get(number)
        if part is None or part.event_type != _REQUEST:
            continue
        times = len(durations)
        tally.of_requests(part.route).add(times, times, sum(durations), Counter(map(bucket_of, durations)))
        tally.count_requests(part.route, start // MS_PER_HOUR % _HOURS_PER_DAY, times)
        tally.slow[part.route.path] += sum(map(is_slow, durations))
    _add_operations(connection, parts, some, tally)


def _add_operations(connection: Connection, parts: Parts, some: Range, tally: Tally) -> None:
    row = event_rows.c
    numbers = _of(parts, _OPERATION)
    if not numbers:
        return
    query = select(row.part, row.duration_us, row.rest).where(*_within(some), row.part.in_(numbers))
    for number, duration_us, rest in connection.execute(query):
        fields = {**parts[number].fields, **json.loads(rest or "{}"), "duration_us": duration_us}
        measured = msgspec.convert(fields, Performance, str_keys=True)
        metric = measured.metric if measured.success else f"failed_{measured.metric}"
        into = tally.of_operation(Operation(metric, measured.name))
        if measured.buckets is None or measured.total_us is None:
            into.add(1, 1, measured.duration_us, {bucket_of(measured.duration_us): 1})
        else:
            into.add(measured.count, measured.count, measured.total_us, measured.buckets)


def first_date(connection: Connection) -> str | None:
    """Return the date of the oldest event."""
    oldest = connection.scalar(select(func.min(event_rows.c.created_at)))
    return None if oldest is None else date_of(oldest)


def routes_of_features(parts: Parts) -> dict[str, set[Route]]:
    """Return on which routes each feature is used."""
    routes: dict[str, set[Route]] = {}
    for part in parts.values():
        if part.event_type == _REQUEST and part.fields.get("feature") is not None:
            routes.setdefault(part.fields["feature"], set()).add(part.route)
    return routes


def _of(parts: Parts, event_type: str) -> list[int]:
    return [number for number, part in parts.items() if part.event_type == event_type]


def _within(some: Range) -> tuple[ColumnElement[bool], ...]:
    return event_rows.c.created_at >= some.start, event_rows.c.created_at < some.end
