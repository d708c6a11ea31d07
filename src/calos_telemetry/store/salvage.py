"""A SQLite file that cannot be read any more: set aside for a person to look at, never deleted, and a new one begun.

Only an install does so.  Its counts start from what is spooled; the file that was set aside keeps the rest.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from calos_telemetry.clock import now_ms
from calos_telemetry.errors import StoreError
from calos_telemetry.store.database import migrate_sqlite, open_sqlite
from calos_telemetry.store.migrate import Schema

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MISSING = "no such table"
_PRIMARY = 0xFF
_MARK = ".corrupt-"
_COMPANIONS = ("-journal", "-wal", "-shm")


def open_or_begin(path: Path, *schemas: Schema) -> Engine:
    """Open the file at ``path``; a corrupt one is set aside first.  Raises :class:`StoreError` where it cannot be opened."""
    try:
        return open_sqlite(path, *schemas)
    except StoreError as error:
        if not is_corrupt(error.__context__):
            raise
    set_aside(path)
    return open_sqlite(path, *schemas)


def heal(engine: Engine, path: Path, error: DatabaseError, *schemas: Schema) -> bool:
    """Make a database usable again that a running process found corrupt or emptied; false when it is neither.

    To be called by the elected drain alone.  All connections of this process to the old file are closed; those of other
    processes notice by themselves that another file lies there.
    """
    if engine.dialect.name != "sqlite" or not (is_corrupt(error) or _MISSING in str(error.orig)):
        return False
    engine.dispose()
    if is_corrupt(error) and _is_damaged(path):
        set_aside(path)
    migrate_sqlite(engine, path, *schemas)
    return True


def is_corrupt(error: BaseException | None) -> bool:
    """Whether SQLite says that the file is damaged, or none of its own."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in _CORRUPT


def _is_damaged(path: Path) -> bool:
    """Look at the file itself: another process may have begun a new one since."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode & _PRIMARY in _CORRUPT


def set_aside(path: Path) -> Path:
    """Rename the file, with what belongs to it, and return its new name."""
    aside = path.with_name(f"{path.name}{_MARK}{now_ms()}")
    path.rename(aside)
    for companion in _COMPANIONS:
        beside = path.with_name(path.name + companion)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + companion))
    return aside


def corrupt_files(path: Path) -> list[Path]:
    """Return the files that were set aside, the oldest first."""
    found = path.parent.glob(f"{path.name}{_MARK}*")
    return sorted(file for file in found if not file.name.endswith(_COMPANIONS))
