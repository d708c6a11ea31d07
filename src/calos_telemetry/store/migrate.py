"""Bringing a database up to date with Alembic: by itself, at first use, one process at a time."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, MetaData

from calos_telemetry.errors import StoreError
from calos_telemetry.store.install_tables import install
from calos_telemetry.store.tables import telemetry
from calos_telemetry.store.transactions import writing
from calos_telemetry.store.vendor_tables import licenses_database, vendor

_one_at_a_time = threading.Lock()  # Alembic knows the database it is at in this process by globals
_MIGRATIONS = Path(__file__).with_name("migrations")


@dataclass(frozen=True)
class Schema:
    """A set of tables that is migrated as one; its name is the folder of its migrations."""

    name: str
    metadata: MetaData

    @property
    def version_table(self) -> str:
        """Return the name of the table that remembers the version."""
        return f"{self.name}_version"


TELEMETRY = Schema("telemetry", telemetry)
INSTALL = Schema("install", install)
VENDOR = Schema("vendor", vendor)
LICENSES = Schema("licenses", licenses_database)


Exclusive = Callable[[], AbstractContextManager[None]]
"""Lets one process at a time in."""


def migrate(engine: Engine, schema: Schema, *, exclusive: Exclusive) -> None:
    """Bring ``schema`` to the newest version this code knows; a migration happens whole or not at all.

    Raises :class:`StoreError` when the database is newer than this code.
    """
    config = _config(schema)
    if current_version(engine, schema) == ScriptDirectory.from_config(config).get_current_head():
        return
    with _one_at_a_time, exclusive(), writing(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise StoreError(
                f"the database holds {schema.name} tables of a newer version than this code: upgrade calos-telemetry"
            ) from None


def current_version(engine: Engine, schema: Schema) -> str | None:
    """Return the version of ``schema`` in the database, ``None`` when it is not there yet."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.version_table})
        return context.get_current_revision()


def _config(schema: Schema) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / schema.name))
    config.set_main_option("path_separator", "newline")
    config.attributes["schema"] = schema
    return config


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock on ``path``; it ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
