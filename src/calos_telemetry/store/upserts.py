"""The two ways a rollup row is written: added up (at the install), or replaced by a newer revision (at the vendor)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Table, case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

How = Literal["add", "least", "greatest", "replace"]
Row = Mapping[str, Any]


def add_up(connection: Connection, table: Table, rows: Sequence[Row], how: Mapping[str, How]) -> None:
    """Insert ``rows``; where a row is there already, combine each column of ``how`` with it and keep the others."""
    if not rows:
        return
    statement = _insert(connection, table)
    updates = {name: _combined(table, statement, name, way) for name, way in how.items()}
    keys = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=updates), list(rows))


def keep_newest(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert ``rows``; where a row is there already, the one with the higher revision stays (DESIGN §4.4).

    A repeat, a reorder or a restored backup can therefore neither double-count nor lose.
    """
    if not rows:
        return
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    updates = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    newer = statement.excluded["revision"] > table.c.revision
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=updates, where=newer), list(rows))


def keep_newest_of_all(connection: Connection, rows: Mapping[Table, Sequence[Row]]) -> None:
    """Do :func:`keep_newest` for each table."""
    for table, each in rows.items():
        keep_newest(connection, table, each)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the ``rows`` whose key is not there yet."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def _insert(connection: Connection, table: Table) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _combined(table: Table, statement: Any, name: str, how: How) -> ColumnElement[Any]:
    old: ColumnElement[Any] = table.c[name]
    new: ColumnElement[Any] = statement.excluded[name]
    if how == "add":
        return old + new
    if how == "least":
        return case((new < old, new), else_=old)
    if how == "greatest":
        return case((new > old, new), else_=old)
    return new
