"""The install's database on PostgreSQL: its own schema, one writer at a time, and sentences where it cannot be used."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, inspect, text
from tests.conftest import Open

from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.settings import Settings
from calos_telemetry.store.database import writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.postgres import open_postgres


@pytest.fixture
def engine(open_on: Open) -> Engine:
    return open_on("postgresql")


def test_tables_lie_in_a_schema_of_their_own(open_on: Open) -> None:
    """An application's database gets one schema more, and nothing in ``public``."""
    engine = open_on("postgresql", name="own_schema")
    there = inspect(engine)
    assert {"telemetry_features", "telemetry_books"} <= set(there.get_table_names(schema="own_schema"))
    assert there.get_table_names(schema="public") == []


def note(engine: Engine, entry: str) -> int:
    """Write an entry into the books and return how many there are then."""
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO telemetry_books VALUES (:entry, 1)"), {"entry": entry})
        return int(connection.scalar(text("SELECT count(*) FROM telemetry_books")) or 0)


def waiting(engine: Engine) -> bool:
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
    with engine.connect() as connection:
        return bool(connection.scalar(query))


def test_one_transaction_writes_at_a_time(engine: Engine) -> None:
    """A second writer waits for the first and then sees what it wrote; a reader does not wait."""
    seen: list[int] = []
    second = threading.Thread(target=lambda: seen.append(note(engine, "second")))
    with writing(engine) as connection:
        second.start()
        while not waiting(engine):
            assert second.is_alive()
        connection.execute(text("INSERT INTO telemetry_books VALUES ('first', 1)"))
    second.join()
    assert seen == [2]


def test_reading_sees_one_moment(engine: Engine) -> None:
    """All queries of one reading transaction see the same rows, whatever is written in between."""
    with engine.connect() as reader:
        count = text("SELECT count(*) FROM telemetry_books")
        before = reader.scalar(count)
        assert note(engine, "in between") == 1
        assert reader.scalar(count) == before == 0


def test_an_unreachable_server_is_one_sentence_without_the_password(postgres_url: str) -> None:
    """Whoever reads the log learns where and why, and no secret."""
    wrong = postgres_url.replace("postgres@", "postgres:hush-hush@").rsplit("/", 1)[0] + "/nowhere"
    with pytest.raises(StoreError, match=r"PostgreSQL nowhere at 127.0.0.1:\d+ cannot be used as a database") as caught:
        open_postgres(wrong, TELEMETRY)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "sqlite:///x.db", "localhost"])
def test_a_url_of_another_kind_is_refused(url: str, tmp_path: Path) -> None:
    """Only PostgreSQL stands beside SQLite."""
    with pytest.raises(SettingsError, match="TELEMETRY_DATABASE_URL is of another kind"):
        Settings(home=tmp_path, database_url=url)


@pytest.mark.parametrize("schema", ["", 'a"b', "Upper", "a;drop", "x" * 64])
def test_a_schema_that_needs_quotes_is_refused(postgres_url: str, schema: str) -> None:
    """The name stands in statements, so it may hold nothing that could end one."""
    with pytest.raises(SettingsError, match="TELEMETRY_DATABASE_SCHEMA"):
        open_postgres(postgres_url, TELEMETRY, schema=schema)


def test_the_settings_do_not_show_the_password(tmp_path: Path) -> None:
    """A printed settings object holds no URL with a password."""
    settings = Settings.from_environment(
        {"CALOS_HOME": str(tmp_path), "TELEMETRY_DATABASE_URL": "postgres://u:hush@h/d"}
    )
    assert settings.database_url == "postgres://u:hush@h/d"
    assert "hush" not in repr(settings)


def documented_privileges() -> list[str]:
    """Return the statements of the documentation, about roles that no other test has."""
    page = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
    chapter = page.split("## Least privileges")[1].split("\n## ")[0]
    blocks = "".join(re.findall(r"```sql\n(.*?)```", chapter, re.DOTALL))
    named = blocks.replace("calos_telemetry", "least_telemetry").replace("reader", "least_reader")
    return [line.split("--")[0] for line in named.splitlines()]


def test_the_documented_privileges_are_enough(postgres_url: str) -> None:
    """Typed before the first start, they let the owner migrate and write, and a reader read what is made then, no more."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE least_reader LOGIN")
        for statement in documented_privileges():
            admin.execute(statement.encode())
    url = postgres_url.replace("postgres@", "least_telemetry:password@")
    engine = open_postgres(url, TELEMETRY, INSTALL, schema="least_telemetry")
    assert note(engine, "stored") == 1
    engine.dispose()
    with psycopg.connect(url) as plain:
        assert plain.execute("SELECT * FROM cleanup_telemetry_data(90)").fetchall() == [(0, 0, 0)]
        assert plain.execute(
            "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone() == (False,)
    with psycopg.connect(postgres_url.replace("postgres@", "least_reader@")) as reader:
        assert reader.execute("SELECT * FROM get_popular_features(10)").fetchall() == []
        assert reader.execute("SELECT * FROM telemetry_daily").fetchall() == []
        assert reader.execute("SELECT entry FROM telemetry_books").fetchall() == [("stored",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM cleanup_telemetry_data(90)")


def test_a_role_that_may_not_create_a_schema_is_told_so(postgres_url: str) -> None:
    """Without a schema and without the right to make one the sentence says what the server said."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE nothing_telemetry LOGIN")
    url = postgres_url.replace("postgres@", "nothing_telemetry@")
    with pytest.raises(StoreError, match="permission denied for database"):
        open_postgres(url, TELEMETRY, schema="not_there")


def test_a_forked_worker_opens_connections_of_its_own(engine: Engine) -> None:
    """A child of a forking server neither uses nor closes its parent's connection."""
    backend = text("SELECT pg_backend_pid()")
    with engine.connect() as connection:
        mine = connection.scalar(backend)
    reading, writing_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with engine.connect() as connection:
                os.write(writing_end, str(connection.scalar(backend)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 20)) != mine
    os.close(reading)
    os.close(writing_end)
    with engine.connect() as connection:
        assert connection.scalar(backend) == mine
