"""Opening the operator's own PostgreSQL (14 and newer): a schema of our own, and the same promises as on SQLite.

A writing transaction takes an advisory lock before its snapshot, so that there is one writer at a time, exactly as on
SQLite; a reading one sees one moment of the database.  The search path is set in each transaction and not in each
session, so that a pooler between us and the server cannot mix it up.  See ``docs/postgresql.md``.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.store.faults import reason, remedy
from calos_telemetry.store.migrate import Schema, migrate
from calos_telemetry.store.transactions import lock_number

SCHEMA = "calos_telemetry"
OLDEST = 140_000  # the oldest release that is still maintained
BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
_POOLED = 2  # the background thread, and a page of the operator's
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def open_postgres(url: str, *schemas: Schema, schema: str = SCHEMA, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open the database at ``url``, create ``schema`` where it is missing, and bring the tables in it up to date.

    A transaction waits at most ``busy_seconds`` for another one.

    Raises :class:`SettingsError` for a URL that cannot be used and :class:`StoreError` when the server cannot.
    """
    address = _address(url)
    if _NAME.fullmatch(schema) is None:
        raise SettingsError(f"TELEMETRY_DATABASE_SCHEMA is {schema!r}: give a name of small letters, digits and _")
    engine = _engine(address, schema, busy_seconds)
    try:
        _prepare(engine, schema)
        for tables in schemas:
            migrate(engine, tables, exclusive=lambda: _exclusive(engine, schema))
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"{shown(address)} cannot be used as a database ({reason(error)}): {remedy(error)}") from None
    except StoreError:
        engine.dispose()
        raise
    _dispose_in_children(engine)
    return engine


def shown(url: URL) -> str:
    """Return where a database is, without the password."""
    return f"PostgreSQL {url.database or ''} at {url.host or 'localhost'}:{url.port or 5432}"


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        raise SettingsError("the database URL is no URL: give postgresql://user:password@host/name") from None
    return address.set(drivername="postgresql+psycopg")


def _engine(address: URL, schema: str, busy_seconds: float) -> Engine:
    """Return an engine that notices a restarted server before it uses an old connection."""
    try:
        engine = create_engine(
            address,
            pool_size=_POOLED,
            pool_pre_ping=True,
            pool_use_lifo=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "calos-telemetry"},
        )
    except ModuleNotFoundError:
        raise SettingsError("a PostgreSQL URL needs a driver: pip install 'calos-telemetry[postgres]'") from None
    event.listen(engine, "begin", _beginner(schema, busy_seconds))
    return engine


def _beginner(schema: str, busy_seconds: float) -> Callable[[Connection], None]:
    local = f"SET LOCAL search_path TO {schema}; SET LOCAL lock_timeout TO '{round(busy_seconds * 1_000)}ms'"
    reading = f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {local}"
    writing = f"{local}; SELECT pg_advisory_xact_lock({lock_number('write', schema)})"

    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("calos_write", False)
        connection.exec_driver_sql(writing if write else reading)

    return begin


def _prepare(engine: Engine, schema: str) -> None:
    with engine.connect() as connection:
        version = int(connection.scalar(text("SELECT current_setting('server_version_num')")) or 0)
        known = connection.scalar(text("SELECT true FROM pg_namespace WHERE nspname = :name"), {"name": schema})
    if version < OLDEST:
        raise StoreError(f"PostgreSQL {version // 10_000} is too old: use {OLDEST // 10_000} or newer")
    if known:
        return
    with _exclusive(engine, schema), engine.connect() as connection, connection.begin():
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))


@contextmanager
def _exclusive(engine: Engine, schema: str) -> Iterator[None]:
    """Let one process at a time migrate; the lock ends with its connection, however that ends."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": lock_number("migrate", schema)})
        yield


def _dispose_in_children(engine: Engine) -> None:
    """Let a forked worker open connections of its own: the parent's sockets are not its to use or to close."""
    weak = weakref.ref(engine)

    def forget() -> None:
        alive = weak()
        if alive is not None:
            alive.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
