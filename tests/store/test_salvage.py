"""Faults of the install's database: whatever happens to the file or the server, nothing is lost and nothing doubled."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError
from tests.postgres import NEEDS, bin_directory, cluster

from calos_telemetry.cli.main import main
from calos_telemetry.contract.events import FeatureUsage, to_record
from calos_telemetry.contract.report import Books
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record import storing
from calos_telemetry.sdk.record.drain import MAX_UNSTORABLE
from calos_telemetry.sdk.record.rows import write_batch
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.settings import Settings
from calos_telemetry.store.database import writing
from calos_telemetry.store.salvage import corrupt_files
from calos_telemetry.store.tables import event_rows, features

AT = 1_764_000_000_000
FILE = "telemetry.db"


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    made = Install(Settings(home=tmp_path))
    yield made
    made.close()


@pytest.fixture
def spool(install: Install) -> Iterator[Spool]:
    install.drain()
    opened = Spool(install.spool_directory)
    yield opened
    opened.close()


def use(spool: Spool, times: int, at: int = AT) -> None:
    for number in range(times):
        assert spool.append(to_record(at + number, FeatureUsage(feature="pos")))


def stored(install: Install) -> tuple[int, int]:
    """Return events and counted uses."""
    with install.engine.connect() as connection:
        rows = connection.scalar(select(func.count()).select_from(event_rows)) or 0
        return rows, connection.scalar(select(func.sum(features.c.usage_count))) or 0


def damage(path: Path, start: int) -> None:
    """Overwrite everything from ``start`` on."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * (size - start))


@pytest.mark.parametrize("start", [0, 4_096])
def test_a_corrupt_file_is_set_aside_at_the_start(tmp_path: Path, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application starts on a new file; the old one is kept under another name, and status names it."""
    Install(Settings(home=tmp_path)).close()
    damage(tmp_path / FILE, start)
    before = (tmp_path / FILE).read_bytes()
    install = Install(Settings(home=tmp_path))
    install.drain()
    assert stored(install) == (0, 0)
    (aside,) = corrupt_files(tmp_path / FILE)
    assert aside.name.startswith("telemetry.db.corrupt-")
    assert aside.read_bytes() == before
    install.close()
    monkeypatch.setenv("CALOS_HOME", str(tmp_path))
    assert f"{aside.name} could not be read any more and was set aside" in CliRunner().invoke(main, ["status"]).output


def test_a_file_that_becomes_corrupt_is_set_aside_by_the_drain(install: Install, spool: Spool, tmp_path: Path) -> None:
    """A running process goes on with a new file, also on connections that it had open; nothing spooled is lost."""
    use(spool, 10)
    assert install.drain().events == 10
    other = Install(Settings(home=tmp_path))
    assert stored(other) == (10, 10)
    use(spool, 5)
    install.engine.dispose()  # SQLite reads a page that it holds in memory from there
    damage(tmp_path / FILE, 4_096)
    install.drain()
    assert len(corrupt_files(tmp_path / FILE)) == 1
    assert stored(install) == stored(other) == (15, 15)  # the living process's spool file still held the first ten
    other.close()


def test_a_file_that_was_deleted_is_made_anew(install: Install, spool: Spool, tmp_path: Path) -> None:
    """Somebody deletes the database beside a running application: the next drain begins another one, mode 0600."""
    use(spool, 3)
    install.drain()
    (tmp_path / FILE).unlink()
    use(spool, 4)
    install.drain()
    assert stored(install) == (7, 7)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert corrupt_files(tmp_path / FILE) == []


def test_a_locked_file_costs_time_only(tmp_path: Path, install: Install, spool: Spool) -> None:
    """While somebody holds the database, the drain gives up; afterwards everything is stored once."""
    use(spool, 6)
    with install.engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
    holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OperationalError, match="locked"):
        install.drain()
    holder.execute("ROLLBACK")
    holder.close()
    assert install.drain().events == 6
    assert stored(install) == (6, 6)


FULL = """
import resource, sys
from pathlib import Path
from sqlalchemy.exc import OperationalError
from calos_telemetry.sdk.install import Install
from calos_telemetry.settings import Settings
install = Install(Settings(home=Path(sys.argv[1])))
size = (Path(sys.argv[1]) / "telemetry.db").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4_096, resource.RLIM_INFINITY))
try:
    install.drain()
except OperationalError as error:
    print("full:", error.orig)
"""


def test_a_full_disk_loses_nothing(tmp_path: Path, install: Install, spool: Spool) -> None:
    """A drain that runs out of space leaves no part of itself; with space again every event is stored once."""
    use(spool, 3_000)
    full = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert full.stdout.startswith("full:"), full.stderr
    assert stored(install) == (0, 0)
    assert install.drain().events == 3_000
    assert stored(install) == (3_000, 3_000)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("kind", ["a time beyond every calendar", "a number that no column holds"])
def test_one_event_that_cannot_be_stored_does_not_hold_up_the_others(
    install: Install, spool: Spool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped and counted, and the books balance."""
    if kind == "a number that no column holds":

        def refuse(connection: Connection, batch: Batch) -> None:
            if any(stored.at == AT + 77 for stored in batch.events):
                raise OverflowError("Python int too large to convert to SQLite INTEGER")
            write_batch(connection, batch)

        monkeypatch.setattr(storing, "write_batch", refuse)
        use(spool, 1, AT + 77)
    else:
        use(spool, 1, 2**63 + 5)
    use(spool, 40)
    assert install.drain().events == 40
    assert stored(install) == (40, 40)
    books = install.books()
    assert isinstance(books, Books)
    assert (books.recorded, books.stored, sum(books.dropped.values()), books.pending) == (41, 40, 1, 0)


def test_a_mistake_of_ours_does_not_empty_the_spool(
    install: Install, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no event at all can be stored, a drain gives up a few and keeps the others for a better release."""

    def refuse(*_: object) -> None:
        raise TypeError("a mistake")

    use(spool, 100)
    with monkeypatch.context() as broken:
        broken.setattr(storing, "write_batch", refuse)
        with pytest.raises(TypeError):
            install.drain()
    assert install.drain().events == 100 - MAX_UNSTORABLE
    assert install.books().dropped == {"unstorable": MAX_UNSTORABLE}


def test_a_restarted_postgresql_is_used_again(tmp_path: Path) -> None:
    """The server stops without a word between two drains, and in a third it is away: nothing is lost or doubled."""
    binaries = bin_directory()
    if binaries is None:
        pytest.skip(NEEDS)
    with cluster(binaries) as server:
        install = Install(Settings(home=tmp_path, database_url=server.start()))
        install.drain()
        spool = Spool(install.spool_directory)
        use(spool, 4)
        assert install.drain().events == 4
        server.stop()
        use(spool, 3)
        with pytest.raises(OperationalError):
            install.drain()
        server.start()
        assert install.drain().events == 3
        with writing(install.engine) as connection:
            connection.execute(text("SELECT 1"))
        assert stored(install) == (7, 7)
        assert sum(install.books().dropped.values()) == 0
        spool.close()
        install.close()
