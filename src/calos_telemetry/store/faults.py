"""What is wrong with a database, and what to do about it, in one sentence."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine, MetaData, insert, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.store.install_tables import books

_PRIMARY = 0xFF
_HELD = "another program holds it: end that program, or wait until it is done"
_FORBIDDEN = "give the application's user the right to write the file and its directory"
_FOREIGN = "the tables in it are not those of this version: restore a backup, or move it aside and a new one is begun"
_SQLITE = {
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "make room on the disk, or check it",
    sqlite3.SQLITE_ERROR: _FOREIGN,
}
_POSTGRESQL = {
    "42501": "give its role the rights that docs/postgresql.md names",
    "25006": "give the address of a server that may be written",
    "55P03": _HELD,
    "53100": "make room on the server's disk",
    "42P01": "the tables in it are not those of this version: restore a backup, or set another TELEMETRY_DATABASE_SCHEMA",
}
_POSTGRESQL |= dict.fromkeys(("42P07", "42703", "42804"), _POSTGRESQL["42P01"])


def reason(error: SQLAlchemyError) -> str:
    """Return the first line of what the server or the driver said."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0].removesuffix(".") if said else type(error).__name__


def remedy(error: SQLAlchemyError) -> str:
    """Return what a person can do about it."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & _PRIMARY, "move it aside or restore it")
    known = _POSTGRESQL.get(getattr(cause, "sqlstate", None) or "")
    return known or "start the server, or correct TELEMETRY_DATABASE_URL; until then events wait in the spool"


def sentence(error: SQLAlchemyError) -> str:
    """Return what is wrong and what to do about it."""
    return f"the database cannot be used ({reason(error)}): {remedy(error)}"


def problem(engine: Engine, *tables: MetaData) -> str | None:
    """Return why an install's database cannot be used as it should, ``None`` when it can.

    Every column is asked for, and a row is written that is never committed.
    """
    try:
        with engine.connect().execution_options(calos_write=True) as connection:
            for metadata in tables:
                for table in metadata.sorted_tables:
                    connection.execute(select(table).limit(0))
            connection.execute(insert(books), {"entry": "", "events": 0})
            connection.rollback()
    except CalosTelemetryError as error:
        return str(error)
    except DBAPIError as error:
        return sentence(error)
    return None
