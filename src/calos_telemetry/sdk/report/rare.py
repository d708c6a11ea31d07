"""Small counts stay at home: texts that only few have seen are taken out of a report.

A guessed template becomes ``(rare)``, and all rare ones of a series are added up under that name, so that the totals stay
right; a message becomes empty.  Which texts are rare is kept by ``sdk.rollup.sightings``.

A report is state (DESIGN §4.4), so ``(rare)`` is a row like any other: when a template becomes common its rows arrive under
its own name, and the row ``(rare)`` arrives again without them, if need be as zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from calos_telemetry.clock import MS_PER_DAY, from_iso
from calos_telemetry.contract.report import Report
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, PerformanceRow
from calos_telemetry.sdk.report.days import DaySeries, add_up
from calos_telemetry.sdk.rollup.sightings import FROM_THE_START, MESSAGE, TEMPLATE_COUNTERS
from calos_telemetry.store.install_tables import sightings
from calos_telemetry.store.tables import aggregates, performance

RARE = "(rare)"

_Counted = tuple[str, str]
"""Date and counter."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Which templates are rare, which ceased to be it in the span of the report, which failures' messages are common."""

    rare: frozenset[str]
    left: dict[str, int]
    messages: frozenset[str]


def without_rare(connection: Connection, install_id: str, report: Report) -> Report:
    """Return the report as it may leave."""
    known = _known(connection, report)
    return msgspec.structs.replace(
        report,
        errors=[_error(row, known) for row in report.errors],
        performance=_performance(connection, install_id, report, known),
        aggregates=_aggregates(connection, install_id, report, known),
    )


def _known(connection: Connection, report: Report) -> _Known:
    rare, left, messages = set(), {}, set()
    for row in connection.execute(select(sightings.c.kind, sightings.c.subject, sightings.c.common_since)):
        if row.kind == MESSAGE:
            messages |= {row.subject} if row.common_since else set()
        elif not row.common_since:
            rare.add(row.subject)
        elif max(report.from_revision, FROM_THE_START) < row.common_since <= report.to_revision:
            left[row.subject] = row.common_since
    return _Known(frozenset(rare), left, frozenset(messages))


def _error(row: ErrorRow, known: _Known) -> ErrorRow:
    """Hide the template and the message; the first line of the stack repeats the message."""
    if row.path in known.rare:
        row = msgspec.structs.replace(row, path=RARE)
    if row.fingerprint not in known.messages:
        _, *frames = row.stack.split("\n")
        row = msgspec.structs.replace(row, message="", stack="\n".join([row.name, *frames]) if row.stack else "")
    return row


def _performance(connection: Connection, install_id: str, report: Report, known: _Known) -> list[PerformanceRow]:
    shown = [row for row in report.performance if row.path not in known.rare]
    changed = {
        DaySeries(from_iso(f"{row.day}T00:00:00Z"), row.metric, row.method, RARE, row.status): row.revision
        for row in report.performance
        if row.path in known.rare
    }
    own = select(performance).where(performance.c.install_id == install_id)
    for path, since in known.left.items():
        for row in connection.execute(own.where(performance.c.path == path)):
            changed[_series(row)] = max(since, changed.get(_series(row), 0))
    hours = _rare_hours(connection, own, changed, known)
    return shown + [
        add_up(series, hours[series], revision=changed[series], last=report.to_revision) for series in sorted(hours)
    ]


def _rare_hours(
    connection: Connection, own: Select[Any], changed: Iterable[DaySeries], known: _Known
) -> dict[DaySeries, list[Any]]:
    """Return all hours of rare templates, by the series that they are added up in."""
    hours: dict[DaySeries, list[Any]] = {series: [] for series in changed}
    if not hours:
        return hours
    column = performance.c
    days = own.where(column.period >= min(hours).day, column.period < max(hours).day + MS_PER_DAY)
    for row in connection.execute(days):
        if row.path in known.rare and _series(row) in hours:
            hours[_series(row)].append(row)
    return hours


def _series(row: Any) -> DaySeries:
    return DaySeries(row.period - row.period % MS_PER_DAY, row.metric, row.method, RARE, row.status)


def _aggregates(connection: Connection, install_id: str, report: Report, known: _Known) -> list[AggregateRow]:
    shown = [row for row in report.aggregates if not _is_rare(row, known)]
    changed = {(row.date, row.counter): row.revision for row in report.aggregates if _is_rare(row, known)}
    if not changed and not known.left:
        return shown
    column = aggregates.c
    keyed = select(aggregates).where(column.install_id == install_id, column.counter.in_(TEMPLATE_COUNTERS))
    rows = connection.execute(keyed).all()
    for row in rows:
        if row.key in known.left:
            changed[row.date, row.counter] = max(known.left[row.key], changed.get((row.date, row.counter), 0))
    sums: Counter[_Counted] = Counter()
    for row in rows:
        if row.key in known.rare and (row.date, row.counter) in changed:
            sums[row.date, row.counter] += row.value
            changed[row.date, row.counter] = max(row.revision, changed[row.date, row.counter])
    last = report.to_revision
    return shown + [
        AggregateRow(date=date, counter=counter, key=RARE, value=sums[date, counter], revision=min(revision, last))
        for (date, counter), revision in sorted(changed.items())
    ]


def _is_rare(row: AggregateRow, known: _Known) -> bool:
    return row.counter in TEMPLATE_COUNTERS and row.key in known.rare
