"""Opening a database: SQLite with a rollback journal and full sync, or PostgreSQL; migrated before first use.

Why not WAL: a drain is one transaction every few minutes, WAL before SQLite 3.51.3 can lose committed transactions
when two connections write and checkpoint at once, and only ``synchronous=FULL`` makes it safe to delete a spool file
once its rows are committed (``docs/decisions/0004-sqlite.md``).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from calos_telemetry.errors import StoreError
from calos_telemetry.forks import gate
from calos_telemetry.private_files import ensure_directory
from calos_telemetry.store.faults import reason, remedy
from calos_telemetry.store.migrate import Schema, file_lock, migrate
from calos_telemetry.store.transactions import writing

__all__ = ["open_database", "open_sqlite", "writing"]

BUSY_SECONDS = 30.0
_INSIDE = "calos.inside"
_FILE = "calos.file"


def open_sqlite(path: Path, *schemas: Schema, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open (or create, mode 0600) the SQLite file at ``path`` and bring ``schemas`` up to date.

    A transaction waits at most ``busy_seconds`` for another one.

    Raises :class:`StoreError` when the file is unreadable, corrupt, not SQLite, or newer than this code.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": busy_seconds})
    _follow(engine, path)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "checkout", _enter)
    event.listen(engine, "checkin", _leave)
    try:
        migrate_sqlite(engine, path, *schemas)
    except DatabaseError as error:
        engine.dispose()
        raise StoreError(f"{path} cannot be used as a database ({reason(error)}): {remedy(error)}") from None
    except StoreError:
        engine.dispose()
        raise
    return engine


def migrate_sqlite(engine: Engine, path: Path, *schemas: Schema) -> None:
    """Bring the file at ``path`` up to date; create it (mode 0600) where it is missing."""
    _create_private(path)
    for schema in schemas:
        migrate(engine, schema, exclusive=lambda: file_lock(path.with_suffix(".lock")))


def open_database(
    url: str | None, path: Path, *schemas: Schema, schema: str | None = None, busy_seconds: float = BUSY_SECONDS
) -> Engine:
    """Open the PostgreSQL at ``url``, in ``schema``; without a URL the SQLite file at ``path``.

    A transaction waits at most ``busy_seconds`` for another one.  Raises :class:`StoreError`, and :class:`SettingsError` for a URL that cannot be used.
    """
    if url is None:
        return open_sqlite(path, *schemas, busy_seconds=busy_seconds)
    from calos_telemetry.store.postgres import SCHEMA, open_postgres  # noqa: PLC0415 - most installs never need it

    return open_postgres(url, *schemas, schema=schema or SCHEMA, busy_seconds=busy_seconds)


def _create_private(path: Path) -> None:
    ensure_directory(path.parent)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be opened ({error.strerror}): check its owner and permissions") from None


def _follow(engine: Engine, path: Path) -> None:
    """Let go of a connection whose file was set aside or removed meanwhile: what it wrote there would be lost."""

    def create(*_: object) -> None:
        _create_private(path)

    def remember(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = _identity(path)

    def compare(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info.get(_FILE) != _identity(path):
            raise DisconnectionError(f"{path} is another file now")

    event.listen(engine, "do_connect", create)
    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", compare)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver's own would take the write lock too late
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # later it would take a rewrite of the file
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("calos_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _enter(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Keep forks away while a connection is in use: a child that inherits a transaction can never use the database."""
    record.info[_INSIDE] = gate.enter()


def _leave(_connection: object, record: ConnectionPoolEntry) -> None:
    inside = record.info.pop(_INSIDE, None)
    if inside is not None:
        gate.leave(inside)
