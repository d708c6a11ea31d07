"""Rollup rows → report: the current value of every row that changed since the last acknowledged report (DESIGN §4.4).

The rows are taken oldest revision first, and only whole revisions: when they are more than a report may hold, this report
ends at an earlier revision and the next one goes on from there.  A single revision never exceeds a report, because a drain
stores at most 5,000 events under one revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Table, select
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.contract.histogram import Histogram, merge
from calos_telemetry.contract.report import MAX_ROWS, Books, Report
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.sdk.rollup.performance import read_histogram
from calos_telemetry.store.tables import aggregates, errors, features, performance

_REPORTED = (features, errors, performance, aggregates)
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class _Span:
    """The revisions that a report covers: above ``after``, up to and with ``to``."""

    install_id: str
    after: int
    to: int

    def within(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        column = table.c
        return column.install_id == self.install_id, column.revision > self.after, column.revision <= self.to


def build_report(
    connection: Connection,
    install_id: str,
    *,
    number: int,
    previous: str,
    from_revision: int,
    books: Books,
    sealed_at: int,
    max_rows: int = MAX_ROWS,
) -> Report | None:
    """Return the report of everything newer than ``from_revision``; ``None`` when nothing is.

    ``previous`` is the chain link of the last receipt, ``sealed_at`` unix ms.
    """
    to_revision = _last_whole_revision(connection, install_id, from_revision, max_rows)
    if to_revision is None:
        return None
    span = _Span(install_id, from_revision, to_revision)
    return Report(
        number=number,
        previous=previous,
        from_revision=from_revision,
        to_revision=to_revision,
        sealed_at=sealed_at,
        books=books,
        features=_rows(connection, features, FeatureRow, span),
        errors=_rows(connection, errors, ErrorRow, span),
        performance=_performance(connection, span),
        aggregates=_rows(connection, aggregates, AggregateRow, span),
    )


def _last_whole_revision(connection: Connection, install_id: str, after: int, max_rows: int) -> int | None:
    """Return the newest revision up to which at most ``max_rows`` rows changed (at least one revision)."""
    revisions: list[int] = []
    for table in _REPORTED:
        query = select(table.c.revision).where(table.c.install_id == install_id, table.c.revision > after)
        revisions += connection.scalars(query.order_by(table.c.revision).limit(max_rows + 1))
    last, taken = None, 0
    for revision, rows in groupby(sorted(revisions)):
        taken += sum(1 for _ in rows)
        if last is not None and taken > max_rows:
            break
        last = revision
    return last


def _rows(connection: Connection, table: Table, kind: type[S], span: _Span) -> list[S]:
    columns = [table.c[name] for name in kind.__struct_fields__]
    keys = [column for column in table.primary_key if column.name != "install_id"]
    query = select(*columns).where(*span.within(table))
    return [kind(**row._mapping) for row in connection.execute(query.order_by(*keys))]  # noqa: SLF001 - SQLAlchemy's name


def _performance(connection: Connection, span: _Span) -> list[PerformanceRow]:
    """Return one row per day and series, from all hours of each day in which the series changed."""
    own = performance.c.install_id == span.install_id
    changed = select(performance.c.period, *_series()).where(*span.within(performance))
    days = {(row.period - row.period % MS_PER_DAY, *row[1:]) for row in connection.execute(changed)}
    if not days:
        return []
    first, last = min(day for day, *_ in days), max(day for day, *_ in days) + MS_PER_DAY
    hours = select(performance).where(own, performance.c.period >= first, performance.c.period < last)
    folded: dict[tuple[Any, ...], list[Any]] = {}
    for row in connection.execute(hours.order_by(performance.c.period, *_series())):
        key = (row.period - row.period % MS_PER_DAY, row.metric, row.method, row.path, row.status)
        if key in days:
            folded.setdefault(key, []).append(row)
    return [_folded(key, rows) for key, rows in sorted(folded.items())]


def _series() -> tuple[Any, ...]:
    return performance.c.metric, performance.c.method, performance.c.path, performance.c.status


def _folded(key: tuple[Any, ...], hours: Iterable[Any]) -> PerformanceRow:
    day, metric, method, path, status = key
    histogram: Histogram = {}
    count = total = longest = revision = 0
    for hour in hours:
        merge(histogram, read_histogram(hour.histogram))
        count += hour.count
        total += hour.total
        longest = max(longest, hour.max)
        revision = max(revision, hour.revision)
    return PerformanceRow(
        day=date_of(day),
        metric=metric,
        method=method,
        path=path,
        status=status,
        count=count,
        total=total,
        max=longest,
        histogram=dict(sorted(histogram.items())),
        revision=revision,
    )
