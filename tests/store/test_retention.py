"""Retention: whole days go, in slices, and the file shrinks; a log that is imported again is still known."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, func, select, text
from tests.conftest import Open

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.events import ApiRequest, FeatureUsage
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.record.storing import store_events, store_lines
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store import retention
from calos_telemetry.store.database import open_sqlite, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.retention import Cleaned, count_old, delete_old, first_kept, give_space_back, stored_bytes
from calos_telemetry.store.tables import aggregates, event_parts, event_rows, features, user_days

INSTALL_ID = "ab" * 16
HASH = "0123456789abcdef"
MIDNIGHT = 1_764_028_800_000
NOW = MIDNIGHT + 5_000_000


def request(path: str = "/a", user: str | None = HASH) -> ApiRequest:
    return ApiRequest(method="GET", path=path, status=200, duration_us=5, session=HASH, user=user, feature="pos")


def store(engine: Engine, *seen: tuple[int, ApiRequest | FeatureUsage], first: int = 0) -> None:
    with writing(engine) as connection:
        store_events(
            connection, INSTALL_ID, [Stored(f"{first + n:032x}", at, event) for n, (at, event) in enumerate(seen)]
        )


def rows(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_whole_days_go_and_counts_stay(install_engine: Engine) -> None:
    """The last moment before the oldest kept day goes with all that hangs on it, its first moment stays."""
    first = first_kept(NOW, 90)
    assert first == MIDNIGHT - 90 * MS_PER_DAY
    store(install_engine, (first - 1, request("/old")), (first, request("/new")), (NOW, FeatureUsage(feature="pos")))
    with install_engine.connect() as connection:
        assert count_old(connection, first) == Cleaned(events=1, performance=1, sessions=0)
    assert delete_old(install_engine, first) == Cleaned(events=1, performance=1, sessions=0)
    assert delete_old(install_engine, first) == Cleaned()
    assert (rows(install_engine, event_rows), rows(install_engine, user_days)) == (2, 1)
    with install_engine.connect() as connection:
        assert connection.scalar(select(features.c.usage_count)) == 3
        days = select(aggregates.c.date).where(aggregates.c.counter == "requests")
        assert len(connection.scalars(days).all()) == 2
        data = connection.scalars(select(event_parts.c.data)).all()
    assert not [one for one in data if "/old" in one]


def test_it_goes_in_slices(install_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a slice holds take several transactions, and all of them go."""
    monkeypatch.setattr(retention, "SLICE", 7)
    store(install_engine, *((NOW - 100 * MS_PER_DAY + n, request()) for n in range(30)), (NOW, request()))
    assert list(retention._slices(install_engine, event_rows, event_rows.c.created_at < NOW)) == [7, 7, 7, 7, 2]
    assert rows(install_engine, event_rows) == 1


@pytest.mark.parametrize("days", [0, -5])
def test_less_than_a_day_is_refused(days: int) -> None:
    """Nobody deletes everything by a slip of the finger."""
    with pytest.raises(SettingsError, match="give 1 or more"):
        first_kept(NOW, days)


def test_lines_of_a_log_are_known_after_their_events_went(install_engine: Engine) -> None:
    """A log of years ago, imported, cleaned up and imported again, is counted once."""
    lines = [Stored(f"{n:016x}", NOW - 400 * MS_PER_DAY + n, request()) for n in range(1_000)]
    with writing(install_engine) as connection:
        assert store_lines(connection, INSTALL_ID, lines) == 1_000
    delete_old(install_engine, first_kept(NOW, 90))
    assert rows(install_engine, event_rows) == 0
    with writing(install_engine) as connection:
        assert store_lines(connection, INSTALL_ID, [*lines, Stored("f" * 16, NOW, request())]) == 1
    with install_engine.connect() as connection:
        assert connection.scalar(select(features.c.usage_count)) == 1_001


def fill(engine: Engine) -> None:
    store(engine, *((NOW - 100 * MS_PER_DAY + n, request(f"/{n}")) for n in range(5_000)))


def test_a_file_gives_its_space_back(tmp_path: Path) -> None:
    """After the old rows went, the file is small again, and still takes new ones."""
    path = tmp_path / "t.db"
    engine = open_sqlite(path, TELEMETRY, INSTALL)
    empty = path.stat().st_size
    fill(engine)
    full = path.stat().st_size
    with engine.connect() as connection:
        assert stored_bytes(connection) == full
    delete_old(engine, first_kept(NOW, 90))
    give_space_back(engine)
    assert full > 4 * empty
    assert path.stat().st_size < full / 2
    store(engine, (NOW, request()), first=9_000)
    engine.dispose()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_of_the_first_release_gives_its_space_back_too(tmp_path: Path) -> None:
    """A file that was begun without this is rewritten once a quarter of it is free, and shrinks by itself from then on."""
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE began_without (x)")
    plain.close()
    path.chmod(0o600)
    engine = open_sqlite(path, TELEMETRY, INSTALL)
    fill(engine)
    full = path.stat().st_size
    delete_old(engine, first_kept(NOW, 90))
    give_space_back(engine)
    assert path.stat().st_size < full / 2
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA auto_vacuum")) == 2
    engine.dispose()


def test_postgresql_says_how_large_it_is(open_on: Open) -> None:
    """Tables and indexes of our schema, in bytes; its space is given back by autovacuum."""
    engine = open_on("postgresql")
    give_space_back(engine)
    with engine.connect() as connection:
        assert stored_bytes(connection) > 100_000
