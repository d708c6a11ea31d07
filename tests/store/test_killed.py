"""A process is killed at every statement, and on SQLite in the midst of them: nothing is lost and nothing doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, func, select
from tests.conftest import ENGINES, Open
from tests.sdk.record.processes import child, ended_well
from tests.sdk.rollup.conftest import rows_of

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage, Performance, to_record
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record.drain import Drain
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.record.waiting import pending
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.settings import Settings
from calos_telemetry.store import retention
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.install_tables import books
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.tables import event_rows

AT = 1_764_000_000_000
INSTALL_ID = "ab" * 16
OPERATIONS = 2_000  # of SQLite's virtual machine, between two chances to die in the midst of a statement
KINDS: tuple[Event, ...] = (
    ApiRequest("POST", "/api/pos/:id", 200, 1_234_567, feature="pos", user="22" * 8, session="11" * 8, country="DE"),
    ApiRequest("GET", "/guess/:id", 500, 7, user="33" * 8, inferred=True),
    FeatureUsage(feature="theme", session="11" * 8, user="22" * 8),
    ErrorEvent(category="database", name="OperationalError", message="it broke", stack="E\na:b:1", path="/api/pos/:id"),
    Performance(metric="transaction", name="checkout", duration_us=5, success=False, error="payment"),
)


class Death:
    """Comes at a step: before or after a statement, at a commit, in the midst of a COPY or of work inside SQLite."""

    def __init__(self, step: int) -> None:
        self.left = step

    def lie_in_wait(self) -> None:
        """Watch all engines of this process."""
        for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(Engine, moment, self.come)
        event.listen(Engine, "connect", self.watch)
        copied = psycopg.Copy.write_row

        def write_row(copy: psycopg.Copy, row: Any) -> None:
            copied(copy, row)
            self.come()

        setattr(psycopg.Copy, "write_row", write_row)  # noqa: B010 - for a child that ends soon, and mypy

    def watch(self, connection: Any, _record: object) -> None:
        if hasattr(connection, "set_progress_handler"):
            connection.set_progress_handler(self.come, OPERATIONS)

    def come(self, *_: object) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def survives(step: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a child that is killed at ``step``; tell whether it ended before."""

    def die() -> None:
        Death(step).lie_in_wait()
        work()

    with child(die) as pid:
        status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status == 0


def stored(engine: Engine) -> int:
    """Return how many events there are, after a look into the books: both must agree."""
    with engine.connect() as connection:
        there = connection.scalar(select(func.count()).select_from(event_rows)) or 0
        assert (connection.scalar(select(books.c.events).where(books.c.entry == "stored")) or 0) == there
    return there


@pytest.mark.parametrize("kind", ENGINES)
def test_a_drain_killed_at_every_statement(kind: str, open_on: Open, tmp_path: Path) -> None:
    """After each death the books balance to the unit, and in the end every row is that of a drain left in peace."""
    engine, peaceful = open_on(kind), open_on(kind)
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    spool, policy = Spool(directory), Policy(Settings(home=tmp_path), Tier.PRO)
    recorded = deaths = 0
    alive = False
    while not alive:
        for number, each in enumerate(KINDS if deaths < 5 else ()):
            assert spool.append(to_record(AT + 60_000 * deaths + number, each))
            recorded += 1
        engine.dispose()
        alive = survives(deaths + 1, lambda: Drain(directory, engine, INSTALL_ID, policy).run())
        deaths += not alive
        assert stored(engine) + pending(directory, engine) == recorded
        engine.dispose()
    assert deaths > 60
    Drain(directory, engine, INSTALL_ID, policy).run()
    Drain(directory, peaceful, INSTALL_ID, policy).run()
    spool.close()
    assert stored(engine) == recorded
    assert rows_of(engine) == rows_of(peaceful)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_cleaning_killed_at_every_statement(kind: str, open_on: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be kept is there after each death, and the next cleaning ends what the last one began."""
    monkeypatch.setattr(retention, "SLICE", 7)
    engine = open_on(kind)
    old = [Stored(f"{n:032x}", AT - 100 * MS_PER_DAY + n, KINDS[n % 5]) for n in range(40)]
    new = [Stored(f"{n + 100:032x}", AT + n, KINDS[n % 5]) for n in range(10)]
    with writing(engine) as connection:
        store_events(connection, INSTALL_ID, [*old, *new])
    first = retention.first_kept(AT, 90)
    kept = {(row[0], row[4]) for row in rows_of(engine)["telemetry_events"] if row[4] >= first}

    def clean() -> None:
        retention.delete_old(engine, first)
        retention.give_space_back(engine)

    deaths, alive = 0, False
    while not alive:
        engine.dispose()
        alive = survives(deaths + 1, clean)
        deaths += not alive
        there = {(row[0], row[4]) for row in rows_of(engine)["telemetry_events"]}
        assert {row for row in there if row[1] >= first} == kept
    assert there == kept
    with engine.connect() as connection:
        assert retention.count_old(connection, first) == retention.Cleaned()


@pytest.mark.parametrize("kind", ENGINES)
def test_a_migration_killed_at_many_statements(kind: str, open_on: Open, request: pytest.FixtureRequest) -> None:
    """Whoever comes next finds all of it or nothing, and makes the same tables."""
    peaceful = open_on(kind)
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    path: Path = request.getfixturevalue("tmp_path") / "killed.db"

    def begin() -> None:
        open_database(url, path, TELEMETRY, INSTALL, schema="killed").dispose()

    deaths, step = 0, 1
    while not survives(step, begin):
        deaths, step = deaths + 1, step + 5
    assert deaths > 5
    engine = open_on(kind, name="killed")
    assert rows_of(engine) == rows_of(peaceful)


@pytest.mark.parametrize("kind", ENGINES)
def test_processes_that_drain_at_once_store_each_event_once(kind: str, open_on: Open, tmp_path: Path) -> None:
    """Several processes drain one spool at the same moment: whoever is not elected does nothing, and nothing is doubled."""
    engine = open_on(kind)
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    spool, policy = Spool(directory), Policy(Settings(home=tmp_path), Tier.PRO)
    for number in range(2_000):
        assert spool.append(to_record(AT + number, KINDS[number % 5]))
    engine.dispose()

    def drain() -> None:
        assert Drain(directory, engine, INSTALL_ID, policy).run(patience=60.0).elected

    with child(drain) as one, child(drain) as two, child(drain) as three:
        assert [ended_well(pid) for pid in (one, two, three)] == [True, True, True]
    spool.close()
    assert stored(engine) == 2_000
    assert pending(directory, engine) == 0
