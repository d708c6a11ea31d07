"""Deleting what is kept for 90 days, in slices that hold the write lock for some milliseconds each.

Whole days of UTC go, never a part of one: a report carries whole days, and half a day must not replace a whole one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, select, text, tuple_
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.errors import SettingsError
from calos_telemetry.store.tables import event_parts, event_rows, performance, sessions, user_days
from calos_telemetry.store.transactions import writing

KEPT_DAYS = 90
SLICE = 5_000
_PAGES = 2_000
_INCREMENTAL = 2
_WORTH_A_REWRITE = 4  # a file of the first release is rewritten once a quarter of it is free


@dataclass(slots=True)
class Cleaned:
    """How many rows went, or would go."""

    events: int = 0
    performance: int = 0
    sessions: int = 0


def first_kept(now: int, days: int) -> int:
    """Return the beginning of the oldest day that is kept (unix ms).

    Raises :class:`SettingsError` for less than a day, which would delete everything.
    """
    if days < 1:
        raise SettingsError(f"days is {days}: give 1 or more")
    return now - now % MS_PER_DAY - days * MS_PER_DAY


def count_old(connection: Connection, first: int) -> Cleaned:
    """Return how many rows are older than ``first`` (unix ms)."""
    counts = (
        connection.scalar(select(func.count()).select_from(table).where(old)) or 0
        for table, old in _counted(first).values()
    )
    return Cleaned(*counts)


def delete_old(engine: Engine, first: int) -> Cleaned:
    """Delete the rows that are older than ``first`` (unix ms), a slice at a time."""
    done = Cleaned()
    for name, (table, old) in _counted(first).items():
        setattr(done, name, sum(_slices(engine, table, old)))
    for table, old in _uncounted(first):
        sum(_slices(engine, table, old))
    return done


def give_space_back(engine: Engine) -> None:
    """Let a SQLite file shrink by what was deleted; PostgreSQL does so by itself (autovacuum)."""
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        incremental = connection.scalar(text("PRAGMA auto_vacuum")) == _INCREMENTAL
        free, pages = (connection.scalar(text(f"PRAGMA {name}")) or 0 for name in ("freelist_count", "page_count"))
    if incremental:
        _shrink(engine, free)
    elif free * _WORTH_A_REWRITE > pages:
        _rewrite(engine)


def stored_bytes(connection: Connection) -> int:
    """Return the size of the install's tables with their indexes."""
    if connection.dialect.name == "sqlite":
        pages, size = (connection.scalar(text(f"PRAGMA {name}")) or 0 for name in ("page_count", "page_size"))
        return int(pages) * int(size)
    query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    return int(connection.scalar(text(f"{query} AND relkind = 'r'")) or 0)


def _counted(first: int) -> dict[str, tuple[Table, ColumnElement[bool]]]:
    return {
        "events": (event_rows, event_rows.c.created_at < first),
        "performance": (performance, performance.c.period < first),
        "sessions": (sessions, (sessions.c.started_at < first) & (sessions.c.last_seen_at < first)),
    }


def _uncounted(first: int) -> list[tuple[Table, ColumnElement[bool]]]:
    day = first // MS_PER_DAY
    return [(user_days, user_days.c.day < day), (event_parts, event_parts.c.used_on < day)]


def _slices(engine: Engine, table: Table, old: ColumnElement[bool]) -> Iterator[int]:
    keys = list(table.primary_key)
    some = select(*keys).where(old).limit(SLICE)
    deleted = SLICE
    while deleted == SLICE:
        with writing(engine) as connection:
            deleted = connection.execute(delete(table).where(tuple_(*keys).in_(some))).rowcount
        yield deleted


def _shrink(engine: Engine, free: int) -> None:
    for _ in range(0, free, _PAGES):
        _script(engine, f"PRAGMA incremental_vacuum({_PAGES});")


def _rewrite(engine: Engine) -> None:
    """Turn on the giving back of space in a file that was begun without it; that takes one rewrite."""
    _script(engine, "PRAGMA auto_vacuum=INCREMENTAL; VACUUM;")


def _script(engine: Engine, script: str) -> None:
    """Run a script to its end: of such a pragma the driver's ``execute`` does a single step, which is one page."""
    connection = engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        driver.executescript(script)
    finally:
        connection.close()
