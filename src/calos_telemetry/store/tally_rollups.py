"""Whole days and whole hours, read from what the drains have added up."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, date_of, from_iso
from calos_telemetry.store.tables import aggregates, performance
from calos_telemetry.store.tally import Operation, Range, Route, Tally
from calos_telemetry.store.window import Window

_REQUEST, _SLOW = "api_request", "slow_request"
_HOURS_PER_DAY = 24
_histogram = msgspec.json.Decoder(dict[int, int]).decode


def add_days(connection: Connection, install_id: str, days: Range, tally: Tally) -> None:
    """Add the counters of whole days; they are kept for ever."""
    column = aggregates.c
    into = {
        "requests": tally.classes,
        "country": tally.countries,
        "feature": tally.features,
        "error": tally.errors,
        "failed_transaction": tally.failures,
    }
    mine = column.install_id == install_id, _dates(days), column.counter.in_((*into, "hour"))
    query = select(column.counter, column.key, func.sum(column.value)).where(*mine)
    for counter, key, value in connection.execute(query.group_by(column.counter, column.key)):
        if counter == "hour":
            tally.hours[int(key)] += int(value)
        else:
            into[counter][key] += int(value)


def add_hours(connection: Connection, install_id: str, window: Window, tally: Tally) -> None:
    """Add the latencies of whole hours; of hours beside the whole days count the requests, too."""
    column = performance.c
    columns = (column.period, column.metric, column.method, column.path, column.status, column.count, column.total)
    query = select(*columns, column.histogram).where(*_periods(install_id, window.hours))
    for period, metric, method, path, status, count, total, histogram in connection.execute(query).all():
        route = Route(method, path, status)
        if metric == _SLOW:
            tally.slow[path] += count
        elif metric == _REQUEST:
            tally.of_requests(route).add(count, count, total, _histogram(histogram))
            if not window.days.start <= period < window.days.end:
                tally.count_requests(route, period // MS_PER_HOUR % _HOURS_PER_DAY, count)
        else:
            tally.of_operation(Operation(metric, path)).add(count, count, total, _histogram(histogram))


def rows_of_days(connection: Connection, install_id: str, days: Range) -> dict[str, int]:
    """Return of how many events of whole days there are rows, and how many are only counted."""
    column = aggregates.c
    mine = column.install_id == install_id, _dates(days), column.counter.in_(("kept_events", "thinned_events"))
    query = select(column.counter, func.sum(column.value)).where(*mine).group_by(column.counter)
    return {counter: int(value) for counter, value in connection.execute(query)}


def days_with_untimed(connection: Connection, install_id: str, days: Range) -> Iterator[Range]:
    """Yield the whole days in which requests were counted whose duration nobody told: lines of an access log."""
    day = performance.c.period - performance.c.period % MS_PER_DAY
    requests = select(day, func.sum(performance.c.count)).where(performance.c.metric == _REQUEST).group_by(day)
    timed = {start: int(count) for start, count in connection.execute(requests.where(*_periods(install_id, days)))}
    column = aggregates.c
    mine = column.install_id == install_id, _dates(days), column.counter == "requests"
    counted = select(column.date, func.sum(column.value)).where(*mine).group_by(column.date).order_by(column.date)
    for date, count in connection.execute(counted):
        start = from_iso(f"{date}T00:00:00Z")
        if int(count) > timed.get(start, 0):
            yield Range(start, start + MS_PER_DAY)


def first_date(connection: Connection, install_id: str, days: Range) -> str | None:
    """Return the first date in ``days`` that has requests counted."""
    column = aggregates.c
    mine = column.install_id == install_id, _dates(days), column.counter == "requests"
    first: str | None = connection.scalar(select(func.min(column.date)).where(*mine))
    return first


def _dates(days: Range) -> ColumnElement[bool]:
    return (aggregates.c.date >= date_of(days.start)) & (aggregates.c.date < date_of(days.end))


def _periods(install_id: str, hours: Range) -> tuple[ColumnElement[bool], ...]:
    column = performance.c
    return column.install_id == install_id, column.period >= hours.start, column.period < hours.end
