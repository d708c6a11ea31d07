"""One schema of PostgreSQL holds one install: the first that comes owns it, and any other is told so.

Books, spool positions and reports carry no install, so two in one schema would count into each other.  A SQLite file
lies in its install's own directory and needs no owner.
"""

from __future__ import annotations

from sqlalchemy import Engine, select

from calos_telemetry.errors import StoreError
from calos_telemetry.store.install_tables import owner
from calos_telemetry.store.transactions import writing
from calos_telemetry.store.upserts import insert_new


def claim(engine: Engine, install_id: str) -> None:
    """Make ``install_id`` the owner where there is none.  Raises :class:`StoreError` where there is another."""
    known = select(owner.c.install_id)
    with engine.connect() as connection:
        first = connection.scalar(known)
    if first is None:
        with writing(engine) as connection:
            insert_new(connection, owner, [{"number": 1, "install_id": install_id}])
            first = connection.scalar(known)
    if first != install_id:
        raise StoreError(
            f"the database holds the telemetry of another install ({first}): set TELEMETRY_DATABASE_SCHEMA to a schema of "
            "this one's own, or restore the identity file in CALOS_HOME if it was lost"
        )
