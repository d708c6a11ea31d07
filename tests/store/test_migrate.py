"""Migrations: they make the tables that the code declares, can be undone, and never run twice at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Integer, LargeBinary, MetaData, func, inspect, select, text
from tests.conftest import ENGINES, Open

from calos_telemetry.errors import StoreError
from calos_telemetry.store import migrate
from calos_telemetry.store.database import open_database, open_sqlite, writing
from calos_telemetry.store.migrate import INSTALL, LICENSES, TELEMETRY, VENDOR, Schema

SCHEMAS = (TELEMETRY, INSTALL, VENDOR, LICENSES)
TOGETHER = [(TELEMETRY, INSTALL), (TELEMETRY, VENDOR), (LICENSES,)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a database will be."""
    return tmp_path / "state" / "data.db"


def objects_of(engine: Engine) -> set[str]:
    """Return the names of all tables, views and functions."""
    there = inspect(engine)
    names = {*there.get_table_names(), *there.get_view_names()}
    if engine.dialect.name == "postgresql":
        own = text("SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace")
        with engine.connect() as connection:
            names.update(connection.scalars(own))
    return names


def differences(engine: Engine, schemas: tuple[Schema, ...]) -> list[object]:
    """Return what autogenerate would change so that the database fits the declared tables."""
    declared = MetaData()
    for schema in schemas:
        for table in schema.metadata.tables.values():
            table.to_metadata(declared)
    versions = {schema.version_table for schema in schemas}
    options = {
        "compare_type": True,
        "include_object": lambda _object, name, kind, *_: not (kind == "table" and name in versions),
    }
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), declared))


@pytest.mark.parametrize("schemas", TOGETHER)
@pytest.mark.parametrize("kind", ENGINES)
def test_migrations_make_exactly_the_declared_tables(kind: str, open_on: Open, schemas: tuple[Schema, ...]) -> None:
    """After all migrations nothing is left that autogenerate would change: tables, columns, types, indexes, keys."""
    assert differences(open_on(kind, *schemas), schemas) == []


@pytest.mark.parametrize("schema", SCHEMAS)
def test_rowids_are_left_out_where_the_tables_say_so(path: Path, schema: Schema) -> None:
    """WITHOUT ROWID is no difference to autogenerate, so it is compared by itself."""
    engine = open_sqlite(path, schema)
    for table in schema.metadata.tables.values():
        with engine.connect() as connection:
            made = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table.name})
        wanted = table.dialect_options["sqlite"]["with_rowid"] is False
        assert (str(made).upper().count("WITHOUT ROWID") == 1) == wanted, table.name
    engine.dispose()


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("kind", ENGINES)
def test_up_down_up_ends_where_it_began(kind: str, open_on: Open, schema: Schema) -> None:
    """Every migration can be undone, to an empty database, and done again."""
    engine = open_on(kind, schema)
    full = objects_of(engine)
    config = migrate._config(schema)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert objects_of(engine) == {schema.version_table}
    migrate.migrate(engine, schema, exclusive=nullcontext)
    assert objects_of(engine) == full
    assert differences(engine, (schema,)) == []


EVERY_VERSION = [
    (schema, script.revision)
    for schema in SCHEMAS
    for script in ScriptDirectory.from_config(migrate._config(schema)).walk_revisions()
]
EXAMPLES = {
    "event_type": "feature_usage",
    "event_data": '{"feature":"pos"}',
    "data": '{"feature":"pos"}',
    "event_id": "0" * 32,
}


def example(column: Any) -> Any:
    """Return a value that fits a column of any version."""
    if isinstance(column.type, LargeBinary):
        return bytes(16)
    if isinstance(column.type, Integer):
        return 1
    return EXAMPLES.get(column.name, "x")


def fill(engine: Engine) -> set[str]:
    """Put a row into each empty table of a database as it is, whatever its version; return the names of the tables."""
    there = MetaData()
    there.reflect(engine)
    filled = {table for table in there.sorted_tables if not table.name.endswith("_version")}
    with writing(engine) as connection:
        for table in filled:
            if connection.scalar(select(func.count()).select_from(table)) == 0:
                connection.execute(table.insert(), {column.name: example(column) for column in table.columns})
    return {table.name for table in filled}


@pytest.mark.parametrize(("schema", "version"), EVERY_VERSION)
@pytest.mark.parametrize("kind", ENGINES)
def test_rows_of_every_version_survive_the_way_to_the_newest(
    kind: str, open_on: Open, schema: Schema, version: str
) -> None:
    """A database of any earlier version is brought up to date with its rows, and has the declared tables then."""
    engine = open_on(kind, schema)
    config = migrate._config(schema)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    filled = fill(engine)
    migrate.migrate(engine, schema, exclusive=nullcontext)
    assert differences(engine, (schema,)) == []
    with engine.connect() as connection:
        for name in filled:
            assert connection.scalar(text(f"SELECT count(*) FROM {name}")) >= 1, name


def test_opening_again_changes_nothing(path: Path) -> None:
    """A database that is up to date is not written to."""
    open_sqlite(path, TELEMETRY, INSTALL).dispose()
    before = path.read_bytes()
    open_sqlite(path, TELEMETRY, INSTALL).dispose()
    assert path.read_bytes() == before


def test_each_schema_has_its_own_version(path: Path) -> None:
    """Two schemas in one file are migrated apart: each has one head, and its own table remembers it."""
    engine = open_sqlite(path, TELEMETRY, VENDOR)
    for schema in (TELEMETRY, VENDOR):
        heads = ScriptDirectory.from_config(migrate._config(schema)).get_heads()
        assert [migrate.current_version(engine, schema)] == heads
    assert migrate.current_version(engine, INSTALL) is None
    engine.dispose()


OPEN = """
import os, sys
from pathlib import Path
from sqlalchemy import text
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
print("ready", flush=True)
sys.stdin.readline()
engine = open_database(sys.argv[2] or None, Path(sys.argv[1]), TELEMETRY, INSTALL, schema="at_once")
with writing(engine) as connection:
    connection.execute(text("INSERT INTO telemetry_books VALUES (:pid, 1)"), {"pid": str(os.getpid())})
"""


@pytest.mark.parametrize("kind", ENGINES)
def test_processes_that_open_at_once_migrate_once(kind: str, path: Path, request: pytest.FixtureRequest) -> None:
    """Several workers of an application start at the same moment on an empty database: all of them get the tables."""
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    start = [sys.executable, "-W", "error", "-c", OPEN, str(path), url or ""]
    workers = [subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    engine = open_database(url, path, TELEMETRY, INSTALL, schema="at_once")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM telemetry_books")) == 3
    engine.dispose()


@pytest.fixture
def newer(path: Path) -> Path:
    """Return a database whose tables a later version of this package made."""
    open_sqlite(path, TELEMETRY).dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE telemetry_version SET version_num = 'telemetry_9999'")
    connection.close()
    return path


def test_a_newer_database_is_refused_and_left_alone(newer: Path) -> None:
    """After a downgrade of the package the data is not touched, and the sentence says what to do."""
    before = newer.read_bytes()
    with pytest.raises(StoreError, match="newer version than this code: upgrade calos-telemetry"):
        open_sqlite(newer, TELEMETRY)
    assert newer.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is no database, but a text file of some length" * 30, b"SQLite format 3\0" * 99]
)
def test_what_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    """A file of another kind is named, not overwritten."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be used as a database"):
        open_sqlite(path, TELEMETRY)
    assert path.read_bytes() == content


def test_a_database_is_private_and_durable(path: Path) -> None:
    """Mode 0600, a rollback journal and full sync: what a drain relies on before it deletes a spool file."""
    engine = open_sqlite(path, TELEMETRY)
    assert path.stat().st_mode & 0o777 == 0o600
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "delete"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
    engine.dispose()


def test_a_link_is_not_followed(path: Path) -> None:
    """Nobody who may write the directory can make us write elsewhere."""
    path.parent.mkdir()
    (path.parent / "target").touch()
    path.symlink_to("target")
    with pytest.raises(StoreError, match="cannot be opened"):
        open_sqlite(path, TELEMETRY)


def test_databases_made_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    """Two applications in one process (a test suite, a mounted one) begin their databases in threads of their own."""
    together = threading.Barrier(6)

    def begin(number: int) -> list[object]:
        together.wait()
        engine = open_sqlite(tmp_path / f"{number}.db", TELEMETRY, INSTALL)
        try:
            return differences(engine, (TELEMETRY, INSTALL))
        finally:
            engine.dispose()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(begin, range(6))) == [[]] * 6
