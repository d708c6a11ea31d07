"""Rollup rows → report: the current value of every row that changed since the last acknowledged report (DESIGN §4.4).

A report holds at most ``MAX_ROWS`` rows and fits the wire.  What is more is cut off at the end of a revision, and the next
report goes on from there (``cut``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Table, select
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.report import MAX_INFLATED, MAX_ROWS, MAX_WIRE, Books, Report, freeze
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.sdk.report.cut import cut
from calos_telemetry.sdk.report.days import DaySeries, add_up
from calos_telemetry.sdk.report.rare import without_rare
from calos_telemetry.store.tables import aggregates, errors, features, performance

_AROUND = 16 * 1024
"""Bytes left for what travels around the report: the license part."""

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
    max_wire: int = MAX_WIRE,
) -> Report | None:
    """Return the report of everything newer than ``from_revision`` that fits; ``None`` when nothing is newer.

    ``previous`` is the chain link of the last receipt, ``sealed_at`` unix ms.  Call it inside a write transaction: a
    revision that is too large by itself is divided.
    """
    while (to_revision := cut(connection, install_id, from_revision, max_rows)) is not None:
        span = _Span(install_id, from_revision, to_revision)
        report = Report(
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
        report = without_rare(connection, install_id, report)
        if max_rows == 1 or _fits(report, max_wire):
            return report
        max_rows = max(1, min(max_rows, report.rows()) // 2)
    return None


def _fits(report: Report, max_wire: int) -> bool:
    plain = msgspec.json.encode(report)
    if len(plain) <= max_wire - _AROUND:
        return True  # gzip makes nothing noticeably longer
    return len(plain) <= MAX_INFLATED - _AROUND and len(freeze(report)) <= max_wire - _AROUND


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
    folded: dict[DaySeries, list[Any]] = {}
    for row in connection.execute(hours.order_by(performance.c.period, *_series())):
        series = DaySeries(row.period - row.period % MS_PER_DAY, row.metric, row.method, row.path, row.status)
        if series in days:
            folded.setdefault(series, []).append(row)
    return [add_up(series, rows, last=span.to) for series, rows in sorted(folded.items())]


def _series() -> tuple[Any, ...]:
    return performance.c.metric, performance.c.method, performance.c.path, performance.c.status
