"""The vendor's two databases: who the customers are, and what their installs do, kept apart.

``licenses.db`` knows people and contracts; ``telemetry.db`` knows install ids only.  Whoever may read the second
learns nothing about the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from calos_telemetry.store.database import open_sqlite
from calos_telemetry.store.migrate import LICENSES, TELEMETRY, VENDOR
from calos_telemetry.store.vendor_tables import licenses, receipts

# A license answer is ready before its report is stored, and must not wait long for somebody who holds the telemetry.
TELEMETRY_BUSY_SECONDS = 3.0


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


def open_store(home: Path) -> VendorStore:
    """Open (or create) both databases under ``home``.  Raises :class:`StoreError`."""
    telemetry = open_sqlite(home / "telemetry.db", TELEMETRY, VENDOR, busy_seconds=TELEMETRY_BUSY_SECONDS)
    return VendorStore(licenses=open_licenses(home), telemetry=telemetry)


def open_licenses(home: Path) -> Engine:
    """Open (or create) the licenses alone: all that administration needs.  Raises :class:`StoreError`."""
    return open_sqlite(home / "licenses.db", LICENSES)
