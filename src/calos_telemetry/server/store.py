"""The vendor's two databases: who the customers are, and what their installs do, kept apart.

A third, ClickHouse, may hold the rows of the reports when the fleet outgrows one machine; receipts stay in the second.

``licenses.db`` knows people and contracts; ``telemetry.db`` knows install ids only.  Whoever may read the second
learns nothing about the first.  On PostgreSQL they are two schemas, and any number of servers may work on them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.exc import SQLAlchemyError

from calos_telemetry.errors import StoreError
from calos_telemetry.server.intake import outbox
from calos_telemetry.server.intake.mover import Mover
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.clickhouse import ClickHouse, open_clickhouse
from calos_telemetry.store.database import BUSY_SECONDS, open_database
from calos_telemetry.store.migrate import LICENSES, TELEMETRY, VENDOR
from calos_telemetry.store.upserts import keep_newest_of_all
from calos_telemetry.store.vendor_tables import licenses, receipts

_log = logging.getLogger(__name__)

# A license answer is ready before its report is stored, and must not wait long for somebody who holds the telemetry.
TELEMETRY_BUSY_SECONDS = 3.0
TELEMETRY_SCHEMA = "calos_vendor"
LICENSES_SCHEMA = "calos_licenses"


@dataclass(frozen=True, slots=True)
class VendorStore:
    """The databases, open."""

    licenses: Engine
    telemetry: Engine
    clickhouse: ClickHouse | None = None
    mover: Mover | None = None

    @property
    def fleet(self) -> Engine:
        """Return where questions about the fleet are asked."""
        return self.telemetry if self.clickhouse is None else self.clickhouse.reader

    def keep(self, connection: Connection, rows: Mapping[Table, Sequence[Mapping[str, Any]]]) -> None:
        """Write the rows of a report in the transaction of its receipt, or see that they will be in ClickHouse."""
        (keep_newest_of_all if self.clickhouse is None else outbox.put)(connection, rows)

    @contextmanager
    def erased_in_clickhouse(self, install_id: str) -> Iterator[int]:
        """Delete the rows of an install there and yield how many there were; until the end nothing is moved there.

        Raises :class:`StoreError`.
        """
        if self.clickhouse is None or self.mover is None:
            yield 0
            return
        with self.mover.alone():
            yield self.clickhouse.erase(install_id)

    def waiting(self) -> int:
        """Return how many reports wait for ClickHouse."""
        return 0 if self.clickhouse is None else outbox.waiting(self.telemetry)

    def usable(self) -> bool:
        """Whether both databases answer."""
        try:
            with self.licenses.connect() as connection:
                connection.execute(select(licenses.c.license_id).limit(1)).all()
            with self.telemetry.connect() as connection:
                connection.execute(select(receipts.c.log_index).limit(1)).all()
        except SQLAlchemyError:
            return False
        return True

    def close(self) -> None:
        """Close every connection; what still waits for ClickHouse waits for the next start."""
        if self.mover is not None:
            self.mover.close()
        if self.clickhouse is not None:
            self.clickhouse.close()
        self.licenses.dispose()
        self.telemetry.dispose()


def open_store(settings: ServerSettings) -> VendorStore:
    """Open (or create) the databases.  Raises :class:`StoreError`."""
    telemetry = open_database(
        settings.database_url,
        settings.home / "telemetry.db",
        TELEMETRY,
        VENDOR,
        schema=TELEMETRY_SCHEMA,
        busy_seconds=TELEMETRY_BUSY_SECONDS,
    )
    store = VendorStore(licenses=open_licenses(settings), telemetry=telemetry)
    if settings.telemetry_url is None:
        return store
    clickhouse = open_clickhouse(settings.telemetry_url)
    try:
        clickhouse.prepare()
    except StoreError as error:  # licenses go first: the mover tries again, reports wait
        _log.warning("%s", error)
    mover = Mover(telemetry, clickhouse, settings.home / "mover.lock")
    return replace(store, clickhouse=clickhouse, mover=mover)


def open_licenses(settings: ServerSettings) -> Engine:
    """Open (or create) the licenses alone: all that administration needs.  Raises :class:`StoreError`."""
    file = settings.home / "licenses.db"
    return open_database(settings.database_url, file, LICENSES, schema=LICENSES_SCHEMA, busy_seconds=BUSY_SECONDS)
