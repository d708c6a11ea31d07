"""``server migrate``: from every engine to every other, killed in the middle, compared at the end."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Table, create_engine, delete, func, select, text, update
from starlette.testclient import TestClient
from tests import postgres
from tests.clickhouse import Node
from tests.server.analytics.fleet import aggregate
from tests.server.clickhouse_fixtures import fresh, started
from tests.server.install import Install, report

from calos_telemetry.cli.main import main
from calos_telemetry.clock import now_ms
from calos_telemetry.errors import StoreError
from calos_telemetry.server import keys, migration
from calos_telemetry.server.app import create_app
from calos_telemetry.server.migration import Move
from calos_telemetry.server.store import VendorStore, open_store
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.clickhouse_ddl import FLEET
from calos_telemetry.store.database import writing
from calos_telemetry.store.tables import aggregates
from calos_telemetry.store.vendor_tables import erasures, installs, receipts

KINDS = ("SQLite", "PostgreSQL", "ClickHouse")
BOOKS = (receipts, erasures)
ROWS = 250

KILLED = """
import os, signal, sys
from calos_telemetry.cli.main import main
from calos_telemetry.server import migration
migration.PAGE = 40
moment, pages = {moment!r}, 3
def dying(self, *given, before=getattr(migration.{owner}, moment)):
    global pages
    pages -= 1
    if not pages and not {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    before(self, *given)
    if not pages:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(migration.{owner}, moment, dying)
main(["server", "migrate", "--to", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    """Run a cluster of two shards."""
    yield from started(2)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Return the URL of a PostgreSQL."""
    binaries = postgres.bin_directory()
    if binaries is None:
        pytest.skip(postgres.NEEDS)
    with postgres.server(binaries) as url:
        yield url


@pytest.fixture
def places(nodes: list[Node], postgresql: str, tmp_path: Path) -> dict[str, str]:
    """Return an empty database of each kind, by URL."""
    name = f"books_{secrets.token_hex(4)}"
    admin = create_engine(postgresql.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return {
        "SQLite": f"sqlite:///{tmp_path / 'files'}",
        "PostgreSQL": postgresql.rpartition("/")[0] + f"/{name}",
        "ClickHouse": fresh(nodes),
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of a license server with keys, which the commands of the test use."""
    directory = tmp_path / "vendor"
    keys.init(directory, now_ms())
    monkeypatch.setenv("CALOS_SERVER_HOME", str(directory))
    return directory


def settings_at(home: Path, kind: str, url: str) -> ServerSettings:
    """Return the settings of a server that lives there; ClickHouse has its books in the files of ``home``."""
    if kind == "SQLite":
        return ServerSettings(home=Path(url.removeprefix("sqlite:///")))
    return ServerSettings(
        home=home,
        database_url=url if kind == "PostgreSQL" else None,
        telemetry_url=url if kind == "ClickHouse" else None,
    )


def fill(settings: ServerSettings) -> None:
    """Let installs report, one be erased, and add enough rows for many pages."""
    keys.init(settings.home, now_ms())
    app = create_app(settings)
    vendor = app.state.vendor
    client = TestClient(app)
    fleet = [Install(vendor=vendor, client=client) for _ in range(3)]
    for one in fleet:
        assert one.verify(report()).telemetry.code == "ACCEPTED"
    assert fleet[0].ask_to_erase().status_code == 200
    many = [aggregate(f"{number:032x}", "2026-11-25", "feature", "pos'x", number) for number in range(ROWS)]
    with writing(vendor.store.telemetry) as connection:
        vendor.store.keep(connection, {aggregates: many})
    vendor.close()


def content(store: VendorStore, tables: tuple[Table, ...]) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of some tables."""
    found = {}
    for table in tables:
        with (store.fleet if table in FLEET else store.telemetry).connect() as connection:
            found[table.name] = sorted(tuple(row) for row in connection.execute(select(table)))
    return found


def migrate(url: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["server", "migrate", "--to", url])


@pytest.mark.parametrize(("kind", "other"), list(permutations(KINDS, 2)))
def test_everything_arrives(
    home: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, kind: str, other: str
) -> None:
    """Rows, receipts, erasures and installs are the same at the other end, and the next report is taken there."""
    monkeypatch.setattr(migration, "PAGE", 40)
    before, after = (settings_at(home, each, places[each]) for each in (kind, other))
    fill(before)
    for name, value in (
        ("HOME", str(before.home)),
        ("DATABASE_URL", before.database_url or ""),
        ("TELEMETRY_URL", before.telemetry_url or ""),
    ):
        monkeypatch.setenv(f"CALOS_SERVER_{name}", value)
    if other == "ClickHouse":
        after = replace(before, telemetry_url=places[other])
    done = migrate(places[other])
    assert done.exit_code == 0, done.output
    old, new = open_store(before), open_store(after)
    assert content(new, (*FLEET, *BOOKS)) == content(old, (*FLEET, *BOOKS))
    assert len(content(new, (aggregates,))["telemetry_aggregates"]) == ROWS + 2
    with new.licenses.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(installs)) == 3
    old.close()
    new.close()


@pytest.mark.parametrize("other", ["PostgreSQL", "ClickHouse"])
@pytest.mark.parametrize(("owner", "after"), [("Move", True), ("Notes", True), ("Move", False)])
def test_killed_in_the_middle_it_goes_on(
    home: Path, places: dict[str, str], other: str, owner: str, after: bool
) -> None:
    """Killed before a page, after it and after its note: the same command ends with the same rows, from where it stood."""
    fill(ServerSettings(home=home))
    program = KILLED.format(moment="write", owner=owner, after=after)
    killed = subprocess.run(
        [sys.executable, "-c", program, places[other]], env=dict(os.environ), check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (home / "migration.places").exists()
    done = migrate(places[other])
    assert done.exit_code == 0, done.output
    assert not (home / "migration.places").exists()
    old, new = open_store(ServerSettings(home=home)), open_store(settings_at(home, other, places[other]))
    assert content(new, FLEET) == content(old, FLEET)
    old.close()
    new.close()


def test_a_second_run_begins_where_the_first_stood(
    home: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted is not moved again."""
    monkeypatch.setattr(migration, "PAGE", 40)
    fill(ServerSettings(home=home))
    moved: list[int] = []
    write = Move.write

    def failing(self: Move, rows: list[dict[str, object]], token: str) -> None:
        if len(moved) == 5:
            moved.append(0)
            raise KeyboardInterrupt
        write(self, rows, token)
        moved.append(len(rows))

    monkeypatch.setattr(Move, "write", failing)
    assert migrate(places["PostgreSQL"]).exit_code != 0
    assert migrate(places["PostgreSQL"]).exit_code == 0
    old = open_store(ServerSettings(home=home))
    both = sum(migration.count(old.telemetry, table) for table in (*FLEET, *BOOKS))
    both += sum(migration.count(old.licenses, table) for table in installs.metadata.sorted_tables)
    old.close()
    assert sum(moved) == both


def test_a_target_with_rows_is_refused(home: Path, places: dict[str, str]) -> None:
    """Nothing of somebody else's is mixed up with ours."""
    fill(ServerSettings(home=home))
    fill(settings_at(home, "PostgreSQL", places["PostgreSQL"]))
    done = migrate(places["PostgreSQL"])
    assert done.exit_code == 1
    assert "holds rows already: give --to an empty database" in done.output


def test_a_difference_is_told(home: Path, places: dict[str, str]) -> None:
    """A value that changed on the way is noticed by its sum, a row that is missing by its count."""
    fill(ServerSettings(home=home))
    target = settings_at(home, "PostgreSQL", places["PostgreSQL"])
    moved = open_store(ServerSettings(home=home)), open_store(target)
    planned = next(move for move in migration.moves(*moved) if move.table is aggregates)
    assert migrate(places["PostgreSQL"]).exit_code == 0
    migration.compare(planned)
    one = aggregates.c.install_id == f"{7:032x}"
    for change, said in (
        (update(aggregates).values(value=8).where(one), "value"),
        (delete(aggregates).where(one), "rows"),
    ):
        with writing(planned.target) as connection:
            connection.execute(change)
        with pytest.raises(StoreError, match=f"telemetry_aggregates differs in {said}"):
            migration.compare(planned)
    for store in moved:
        store.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://h/x", "--to is of another kind"),
        ("sqlite://", "--to is of another kind"),
        ("clickhouse://h", "the ClickHouse URL cannot be read"),
    ],
)
def test_a_target_that_is_none_is_said(home: Path, url: str, said: str) -> None:
    """One sentence, and nothing is begun."""
    done = migrate(url)
    assert (done.exit_code, said in done.output) == (1, True), done.output
    assert not (home / "migration.places").exists()


def test_the_database_in_use_is_no_target(home: Path) -> None:
    """Whoever gives the place where everything is hears so."""
    done = migrate(f"sqlite:///{home}")
    assert done.exit_code == 1
    assert "that is the database in use" in done.output


def test_another_target_in_the_middle_is_refused(home: Path, places: dict[str, str]) -> None:
    """Half of it in one place and half in another would be found by nobody."""
    notes = migration.Notes(home, places["PostgreSQL"])
    notes.places.last["telemetry_features"] = ["a", "b"]
    notes.write()
    done = migrate(places["ClickHouse"])
    assert done.exit_code == 1
    assert "a migration to another database was begun" in done.output
