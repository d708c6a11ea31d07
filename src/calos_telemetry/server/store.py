"""The vendor's two databases: who the customers are, and what their installs do, kept apart.

``licenses.db`` knows people and contracts; ``telemetry.db`` knows install ids only.  Whoever may read the second
learns nothing about the first.  On PostgreSQL they are two schemas, and any number of servers may work on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.database import BUSY_SECONDS, open_database
from calos_telemetry.store.migrate import LICENSES, TELEMETRY, VENDOR
from calos_telemetry.store.vendor_tables import licenses, receipts

# A license answer is ready before its report is stored, and must not wait long for somebody who holds the telemetry.
TELEMETRY_BUSY_SECONDS = 3.0
TELEMETRY_SCHEMA = "calos_vendor"
LICENSES_SCHEMA = "calos_licenses"


@dataclass(frozen=True, slots=True)
class VendorStore:
    """Both databases, open."""

    licenses: Engine
    telemetry: Engine

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
        """Close every connection."""
        self.licenses.dispose()
        self.telemetry.dispose()


def open_store(settings: ServerSettings) -> VendorStore:
    """Open (or create) both databases.  Raises :class:`StoreError`."""
    telemetry = open_database(
        settings.database_url,
        settings.home / "telemetry.db",
        TELEMETRY,
        VENDOR,
        schema=TELEMETRY_SCHEMA,
        busy_seconds=TELEMETRY_BUSY_SECONDS,
    )
    return VendorStore(licenses=open_licenses(settings), telemetry=telemetry)


def open_licenses(settings: ServerSettings) -> Engine:
    """Open (or create) the licenses alone: all that administration needs.  Raises :class:`StoreError`."""
    file = settings.home / "licenses.db"
    return open_database(settings.database_url, file, LICENSES, schema=LICENSES_SCHEMA, busy_seconds=BUSY_SECONDS)
