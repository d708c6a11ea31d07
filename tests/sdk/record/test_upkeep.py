"""The nightly cleaning: once a day, by one process, never because a clock has leapt; and an alarm when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, func, select

from calos_telemetry import clock
from calos_telemetry.cli.main import main
from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, now_ms
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.errors import StoreError
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record import upkeep as module
from calos_telemetry.sdk.record.spool import DrainLock
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.record.upkeep import Upkeep
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.settings import Settings
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import sightings
from calos_telemetry.store.retention import Cleaned
from calos_telemetry.store.tables import aggregates, event_rows

INSTALL_ID = "ab" * 16
NOW = 1_764_072_000_000


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture
def upkeep(tmp_path: Path, engine: Engine) -> Upkeep:
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    return Upkeep(directory, engine, INSTALL_ID)


@pytest.fixture(autouse=True)
def real_clock() -> Iterator[None]:
    at(NOW)
    yield
    clock.set_source(None)


def at(ms: int) -> None:
    clock.set_source(lambda: ms * 1_000_000)


def store(engine: Engine, *moments: int) -> None:
    seen = [Stored(f"{moment:032x}", moment, FeatureUsage(feature="pos")) for moment in moments]
    with writing(engine) as connection:
        store_events(connection, INSTALL_ID, seen)


def left(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(event_rows)) or 0


def test_templates_that_no_row_holds_are_forgotten(engine: Engine, upkeep: Upkeep) -> None:
    """A site's old pages do not pile up; whether a template is rare stays known as long as any row could tell it."""
    old = NOW - 100 * MS_PER_DAY
    quick, slow, today = (
        ApiRequest("GET", path, 200, duration_us, inferred=True)
        for path, duration_us in (("/old/page", 5), ("/old/slow", 2_000_000), ("/new/page", None))
    )
    failed = ErrorEvent(category="other", name="E", path="/old/failed", inferred=True)
    seen: list[tuple[int, Event]] = [(old, quick), (old, slow), (old, failed), (NOW, today)]
    with writing(engine) as connection:
        store_events(connection, INSTALL_ID, [Stored(f"{n:032x}", moment, one) for n, (moment, one) in enumerate(seen)])
    upkeep.clean()
    with engine.connect() as connection:
        known = connection.scalars(select(sightings.c.subject).order_by(sightings.c.subject)).all()
    assert known == ["/new/page", "/old/failed", "/old/slow"]


def test_it_happens_once_a_night(engine: Engine, upkeep: Upkeep) -> None:
    """The first run only notes the time; a day later the old rows go; an hour later it is not time again."""
    store(engine, NOW - 100 * MS_PER_DAY, NOW)
    assert upkeep.run_if_due() == Cleaned()
    assert upkeep.run_if_due() is None
    at(NOW + MS_PER_DAY)
    assert upkeep.run_if_due() == Cleaned(events=1)
    at(NOW + MS_PER_DAY + MS_PER_HOUR)
    assert upkeep.run_if_due() is None
    with engine.connect() as connection:
        size = connection.scalar(select(aggregates.c.value).where(aggregates.c.counter == "storage_bytes"))
    assert size is not None
    assert size > 100_000


def test_old_reports_go_in_the_same_night(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is cleaned by the same careful clock as everything else."""
    cleaned: list[int] = []
    monkeypatch.setattr(module, "drop_old_reports", lambda _engine, now: cleaned.append(now))
    upkeep.run_if_due()
    assert not cleaned
    at(NOW + MS_PER_DAY)
    upkeep.run_if_due()
    assert cleaned == [NOW + MS_PER_DAY]


@pytest.mark.parametrize("leap", [365 * MS_PER_DAY, -365 * MS_PER_DAY, -MS_PER_DAY])
def test_a_clock_that_leaps_deletes_nothing(engine: Engine, upkeep: Upkeep, leap: int) -> None:
    """A year forward, a year or a day back, and then set right: all rows of the last 90 days are still there."""
    store(engine, NOW - 80 * MS_PER_DAY, NOW)
    upkeep.run_if_due()
    at(NOW + leap)
    upkeep.run_if_due()
    at(NOW + leap + MS_PER_HOUR)
    upkeep.run_if_due()
    at(NOW + 2 * MS_PER_HOUR)
    upkeep.run_if_due()
    assert left(engine) == 2
    at(NOW + MS_PER_DAY + 2 * MS_PER_HOUR)
    assert upkeep.run_if_due() == Cleaned()
    assert left(engine) == 2


def test_one_process_is_elected(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process drains or cleans, this one stands aside; by hand it says so."""
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    with DrainLock(upkeep._directory) as elected:
        assert elected
        assert upkeep.run_if_due() is None
        with pytest.raises(StoreError, match="another process"):
            upkeep.clean()


def test_the_alarm_rings_only_when_there_is_something_to_clean(engine: Engine, upkeep: Upkeep) -> None:
    """Silence on a new install and after each cleaning; a sentence when old events lie there for three days too long."""
    assert upkeep.alarm() is None
    store(engine, NOW - 92 * MS_PER_DAY, NOW)
    assert upkeep.alarm() is None
    at(NOW + 2 * MS_PER_DAY)
    assert upkeep.alarm() == (
        "old events were never cleaned up, but should be every night: run calos-telemetry cleanup"
    )
    assert upkeep.clean() == Cleaned(events=1)
    assert upkeep.alarm() is None
    store(engine, NOW - 200 * MS_PER_DAY)
    assert upkeep.alarm() is None
    at(NOW + 6 * MS_PER_DAY)
    assert "last on 2025-11-27" in (upkeep.alarm() or "")


def test_the_command_says_what_goes_and_what_would_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run deletes nothing and tells the same numbers as the run after it."""
    clock.set_source(None)
    monkeypatch.setenv("CALOS_HOME", str(tmp_path))
    install = Install(Settings(home=tmp_path))
    store(install.engine, now_ms() - 40 * MS_PER_DAY, now_ms())
    for arguments, going, there in ((["--dry-run"], 1, 2), ([], 1, 1), ([], 0, 1)):
        done = CliRunner().invoke(main, ["cleanup", "--days", "30", "--json", *arguments])
        assert json.loads(done.output)["events_deleted"] == going, done.output
        assert left(install.engine) == there
    assert CliRunner().invoke(main, ["cleanup", "--days", "0"]).exit_code == 2
    install.close()
