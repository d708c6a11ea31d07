"""Every fault of the database, caused for real: nothing is lost or doubled, and a sentence says what to do."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from tests.cli.conftest import Operator
from tests.conftest import ENGINES
from tests.postgres import NEEDS, bin_directory, cluster
from tests.sdk.record.processes import in_child

from calos_telemetry import Settings, Telemetry
from calos_telemetry.clock import now_ms, set_source
from calos_telemetry.contract.events import FeatureUsage, to_record
from calos_telemetry.errors import CalosTelemetryError, StoreError
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.faults import remedy
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.tables import aggregates, event_rows, features

from .unprivileged import give_up_privileges

AT = 1_764_000_000_000
FILE = "telemetry.db"


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Return the settings of an install on each engine."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    return Settings(
        home=tmp_path / "home",
        public_host="shop.example.com",
        database_url=url,
        database_schema=f"f{secrets.token_hex(8)}",
    )


@pytest.fixture
def install(settings: Settings) -> Iterator[Install]:
    made = Install(settings)
    yield made
    made.close()


@pytest.fixture
def spool(install: Install) -> Iterator[Spool]:
    install.drain()
    opened = Spool(install.spool_directory)
    yield opened
    opened.close()


on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def use(spool: Spool, times: int, at: int = AT) -> None:
    for number in range(times):
        assert spool.append(to_record(at + number, FeatureUsage(feature="pos")))


def stored(install: Install) -> tuple[int, int, int, int]:
    """Return events, counted uses, and what the books say is stored and pending."""
    books = install.books()
    with install.engine.connect() as connection:
        rows = connection.scalar(select(func.count()).select_from(event_rows)) or 0
        uses = connection.scalar(select(func.sum(features.c.usage_count))) or 0
    return rows, int(uses), books.stored, books.pending


def test_a_sound_database_is_no_problem(install: Install) -> None:
    """And asking leaves nothing behind."""
    assert install.database_problem() is None
    assert stored(install) == (0, 0, 0, 0)


@on_sqlite
@pytest.mark.parametrize(
    ("name", "mode", "usual", "warm", "expected"),
    [
        (FILE, 0o400, 0o600, False, "cannot be opened (Permission denied): check its owner and permissions"),
        ("", 0o500, 0o700, False, "is not writable: give a directory this user may write, or fix its permissions"),
        ("", 0o500, 0o700, True, "give the application's user the right to write the file and its directory"),
    ],
)
def test_what_may_not_be_written_costs_time_only(
    install: Install, spool: Spool, name: str, mode: int, usual: int, *, warm: bool, expected: str
) -> None:
    """The file or its directory becomes read-only under an application: events wait, and status says what to mend."""
    use(spool, 6)
    install.engine.dispose()
    path = install.settings.home / name

    def go_on() -> str | None:
        if warm:
            install.engine.connect().close()
        path.chmod(mode)
        give_up_privileges()
        with pytest.raises((OperationalError, CalosTelemetryError)):
            install.drain()
        use(spool, 4)
        return install.database_problem()

    problem = in_child(go_on)
    path.chmod(usual)
    assert problem.endswith(expected)
    assert install.drain().events == 10
    assert stored(install) == (10, 10, 10, 0)


@on_sqlite
def test_a_file_that_may_not_be_opened_is_one_sentence(install: Install) -> None:
    """At the start the sentence names the file and what to check."""
    path = install.settings.home / FILE
    path.chmod(0o400)

    def start() -> str:
        give_up_privileges()
        with pytest.raises(StoreError) as refused:
            Install(install.settings)
        return str(refused.value)

    assert in_child(start) == f"{path} cannot be opened (Permission denied): check its owner and permissions"


@on_sqlite
def test_a_held_file_is_told_from_a_broken_one(install: Install) -> None:
    """Nobody is advised to move a database aside that another program only holds."""
    holder = sqlite3.connect(install.settings.home / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with install.engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
    problem = install.database_problem()
    holder.close()
    assert problem is not None
    assert problem.endswith(
        "(database is locked): another program holds it: end that program, or wait until it is done"
    )
    assert install.database_problem() is None


def test_a_held_table_is_told_from_a_broken_one(postgres_url: str, tmp_path: Path) -> None:
    """A lock that somebody keeps on a table of ours in PostgreSQL is named as such."""
    install = Install(Settings(home=tmp_path, database_url=postgres_url, database_schema="held"))
    with psycopg.connect(postgres_url) as holder, install.engine.connect() as connection:
        holder.execute("LOCK TABLE held.telemetry_books")
        connection.execute(text("SET LOCAL lock_timeout TO '50ms'"))
        with pytest.raises(OperationalError) as refused:
            connection.execute(text("SELECT * FROM telemetry_books"))
    assert remedy(refused.value).startswith("another program holds it")
    install.close()


def test_tables_of_another_shape_hold_events_back(install: Install, spool: Spool) -> None:
    """Somebody renames a column: nothing is dropped, status names the remedy, and with the column all is stored once."""
    use(spool, 5)
    with writing(install.engine) as connection:
        connection.execute(text("ALTER TABLE telemetry_features RENAME COLUMN usage_count TO uses"))
    with pytest.raises(DBAPIError):
        install.drain()
    problem = install.database_problem() or ""
    assert "usage_count" in problem
    assert "the tables in it are not those of this version: restore a backup" in problem
    with writing(install.engine) as connection:
        connection.execute(text("ALTER TABLE telemetry_features RENAME COLUMN uses TO usage_count"))
    assert install.drain().events == 5
    assert stored(install) == (5, 5, 5, 0)


def test_a_strangers_table_in_the_way_is_left_alone(settings: Settings) -> None:
    """A database in which somebody else has a table of that name is refused, and their rows stay."""
    schema = settings.database_schema
    if settings.database_url is None:
        settings.home.mkdir(mode=0o700)
        with sqlite3.connect(settings.home / FILE) as theirs:
            theirs.execute("CREATE TABLE telemetry_features (mine TEXT)")
        theirs.close()
    else:
        with psycopg.connect(settings.database_url, autocommit=True) as server:
            server.execute(f"CREATE SCHEMA {schema}")
            server.execute(f"CREATE TABLE {schema}.telemetry_features (mine text)")
    with pytest.raises(StoreError, match=r"cannot be used as a database .*already exists.* not those of this version"):
        Install(settings)
    if settings.database_url is None:
        assert [path.name for path in settings.home.glob("*corrupt*")] == []


def test_a_newer_database_is_refused_and_the_application_goes_on(settings: Settings) -> None:
    """After a downgrade events are recorded and wait; what the newer version wrote is left alone; status says what to do."""
    newer = open_database(
        settings.database_url, settings.home / FILE, TELEMETRY, INSTALL, schema=settings.database_schema
    )
    with writing(newer) as connection:
        known = connection.scalar(text("SELECT version_num FROM install_version"))
        connection.execute(text("UPDATE install_version SET version_num = 'install_9999'"))
    telemetry = Telemetry(settings)
    telemetry._schedule.stop()
    for _ in range(3):
        telemetry.track_feature(None, "pos")
    assert telemetry.books().recorded == 3
    with pytest.raises(StoreError, match="newer version than this code: upgrade calos-telemetry"):
        telemetry.flush()
    operator = Operator(settings.home)
    where = {"TELEMETRY_DATABASE_URL": settings.database_url, "TELEMETRY_DATABASE_SCHEMA": settings.database_schema}
    environment = where if settings.database_url is not None else {}
    complaint = operator.complaint("status", **{name: value for name, value in environment.items() if value})
    assert "newer version than this code: upgrade calos-telemetry" in complaint
    with writing(newer) as connection:
        connection.execute(text("UPDATE install_version SET version_num = :known"), {"known": known})
    newer.dispose()
    assert telemetry.flush() == 3
    telemetry.close()


def test_a_second_install_in_a_schema_is_refused(postgres_url: str, tmp_path: Path) -> None:
    """Two would count into each other: the first goes on, the second is told what to set, and leaves nothing behind."""
    homes = [Settings(home=tmp_path / name, database_url=postgres_url, database_schema="shared") for name in "ab"]
    first = Install(homes[0])
    with pytest.raises(
        StoreError, match=f"another install .{first.identity.install_id}.: set TELEMETRY_DATABASE_SCHEMA"
    ):
        Install(homes[1])
    again = Install(homes[0])
    assert stored(again) == (0, 0, 0, 0)
    for one in (first, again):
        one.close()


@pytest.mark.parametrize("leap", [-86_400_000, 365 * 86_400_000])
def test_a_leaping_clock_loses_nothing(install: Install, spool: Spool, leap: int) -> None:
    """A day back or a year forward, and right again: each event is stored once, and revisions only rise."""
    revisions = []
    began = now_ms()
    try:
        for offset in (0, leap, 10):
            set_source(lambda offset=offset: (began + offset) * 1_000_000)  # type: ignore[misc]
            use(spool, 5, began + offset)
            assert install.drain().events == 5
            with install.engine.connect() as connection:
                revisions.append(connection.scalar(select(func.max(aggregates.c.revision))) or 0)
    finally:
        set_source(None)
    assert stored(install) == (15, 15, 15, 0)
    assert revisions == sorted(set(revisions))


def kill_server(root: Path) -> None:
    """Kill a PostgreSQL with all its processes, as a machine without memory does."""
    keeper = int((root / "data" / "postmaster.pid").read_text().split()[0])
    family = [keeper]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == keeper:
            family.append(int(stat.parent.name))
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    for lock in (root / "data" / "postmaster.pid", *root.glob(".s.PGSQL.*.lock")):
        lock.unlink()  # where nobody reaps the dead, a new server takes them for alive


def test_a_postgresql_that_is_killed_in_the_midst_of_a_drain(tmp_path: Path) -> None:
    """Killed at one statement after another and begun again: the drain says so, and the next one stores what is left."""
    binaries = bin_directory()
    if binaries is None:
        pytest.skip(NEEDS)
    with cluster(binaries) as server:
        install = Install(Settings(home=tmp_path, database_url=server.start()))
        install.drain()
        spool = Spool(install.spool_directory)
        left = 0

        def strike(*_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                kill_server(server.root)

        event.listen(install.engine, "after_cursor_execute", strike)
        recorded = deaths = 0
        killed = True
        while killed:
            use(spool, 4, AT + 100 * deaths)
            recorded += 4
            left = 1 + 9 * deaths
            try:
                install.drain()
            except DBAPIError:
                assert "start the server" in (install.database_problem() or "")
            killed = left <= 0
            deaths += killed
            left = 0
            if killed:
                server.start()
            rows, uses, booked, pending = stored(install)
            assert rows == uses == booked
            assert booked + pending == recorded
        assert deaths > 2
        assert stored(install) == (recorded, recorded, recorded, 0)
        spool.close()
        install.close()
