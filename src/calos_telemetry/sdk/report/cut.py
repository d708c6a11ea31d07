"""How far a report goes: whole revisions, oldest first, as many as fit.

What does not fit waits for the next report, which goes on from there.  A single revision that is too large for a report
(one drain of events from thousands of different days) may not block the ones behind it: its rows beyond the limit are
given a new revision, as if a later drain had changed them, so it travels in pieces.  That is harmless, because a report
carries current values and the receiver keeps the row with the higher revision (DESIGN §4.4).
"""

from __future__ import annotations

from itertools import groupby

from sqlalchemy import Connection, Table, bindparam, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.sdk.record.storing import next_revision
from calos_telemetry.store.tables import aggregates, errors, features, performance

REPORTED = (features, errors, performance, aggregates)


def cut(connection: Connection, install_id: str, after: int, max_rows: int) -> int | None:
    """Return the newest revision up to which at most ``max_rows`` rows changed since ``after``; ``None``: none did.

    Call it inside a write transaction: it divides a revision that is larger than that by itself.
    """
    whole = _last_whole_revision(connection, install_id, after, max_rows)
    if whole is None:
        return None
    first, rows = whole
    if rows > max_rows:
        _divide(connection, install_id, first, max_rows)
    return first


def _last_whole_revision(connection: Connection, install_id: str, after: int, max_rows: int) -> tuple[int, int] | None:
    """Return the last revision that fits and how many rows it closes; the first one even where it alone does not fit."""
    revisions: list[int] = []
    for table in REPORTED:
        query = select(table.c.revision).where(table.c.install_id == install_id, table.c.revision > after)
        revisions += connection.scalars(query.order_by(table.c.revision).limit(max_rows + 1))
    last, taken = None, 0
    for revision, group in groupby(sorted(revisions)):
        rows = sum(1 for _ in group)
        if last is not None and taken + rows > max_rows:
            break
        last, taken = revision, taken + rows
    return None if last is None else (last, taken)


def _divide(connection: Connection, install_id: str, revision: int, keep: int) -> None:
    """Leave ``keep`` rows in ``revision`` and move the others to a revision of their own."""
    new = next_revision(connection, install_id)
    for table in REPORTED:
        mine = table.c.install_id == install_id, table.c.revision == revision
        there = connection.scalar(select(func.count()).select_from(table).where(*mine)) or 0
        if there > keep:
            _move(connection, table, mine, keep, new)
        keep = max(0, keep - there)


def _move(connection: Connection, table: Table, mine: tuple[ColumnElement[bool], ...], keep: int, new: int) -> None:
    keys = list(table.primary_key)
    beyond = connection.execute(select(*keys).where(*mine).order_by(*keys).offset(keep)).all()
    that_row = [column == bindparam(f"key_{column.name}") for column in keys]
    names = [f"key_{column.name}" for column in keys]
    connection.execute(
        update(table).where(*that_row).values(revision=new),
        [dict(zip(names, row, strict=True)) for row in beyond],
    )
