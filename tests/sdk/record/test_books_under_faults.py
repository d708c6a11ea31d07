"""The books balance to the unit, whatever fails: an application that goes on working in a world that does not.

Every event offered is in the database, or in its books by the reason for which it was dropped; and no call raises.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select
from tests.fault_table import ROUNDS, THOROUGH, row
from tests.sdk.record.faulty_world import World
from tests.sdk.record.processes import in_child

from calos_telemetry import Settings, Telemetry
from calos_telemetry.store.tables import event_rows

HOST = "shop.example.com"
MEMORY = next(filter(os.path.isdir, ["/dev/shm"]), None)  # noqa: S108 - where syncing costs nothing
RATES = st.sampled_from([0.02, 0.1, 0.3, 0.7, 1.0])
MINUTES = st.integers(-40_000, 40_000)  # both ways, and within what is kept


def settings_of(home: Path) -> Settings:
    return Settings(home=home, public_host=HOST, server="http://127.0.0.1:9")


class Application(RuleBasedStateMachine):
    """An application with telemetry; the rules are what it does and what the world does to it."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp(dir=MEMORY))
        home = self.place / "home"
        shutil.copytree(self.template, home)
        self.world = World()
        self.around = self.world.around()
        self.around.__enter__()
        self.telemetry = Telemetry(settings_of(home))
        assert self.telemetry.pipeline is not None
        self.spool = self.telemetry.pipeline.spool
        self.telemetry._schedule.stop()  # its jobs are run by a rule below
        self.world.trouble_database(self.telemetry.install.engine)
        self.offered = self.untold = self.children = 0

    def use(self, times: int) -> int:
        """Offer events; return how many were taken."""
        self.offered += times
        return sum(self.telemetry.track_feature(None, "used", {"count": number}) for number in range(times))

    @rule(times=st.integers(1, 40))
    def record(self, times: int) -> None:
        before = self.spool.books.recorded
        assert self.use(times) == self.spool.books.recorded - before

    @rule(rate=RATES, times=st.integers(1, 8))
    def weather_a_storm(self, rate: float, times: int) -> None:
        """Record, tidy up and drain, again and again, while much fails."""
        before, self.world.rate = self.world.rate, rate
        for number in range(times):
            self.use(10)
            self.work()
            if number % 2:
                self.spool.sync()
        self.world.rate = before

    @rule()
    def record_too_much(self) -> None:
        self.offered += 1
        assert not self.spool.append(bytes(70_000))

    @rule()
    def work(self) -> None:
        """Do what the background thread does."""
        for job in self.telemetry._schedule._jobs:
            if job.name != "verify the license":
                self.telemetry._schedule._do(job)

    @rule()
    def seal(self) -> None:
        self.spool.seal()

    @rule(minutes=MINUTES)
    def set_the_clock(self, minutes: int) -> None:
        self.world.offset_ns = minutes * 60_000_000_000
        self.world.faults += 1

    @rule(rate=RATES, seed=st.integers(0, 1 << 16))
    def let_the_world_fail(self, rate: float, seed: int) -> None:
        self.world.rate = rate
        self.world.chance.seed(seed)

    @rule()
    def let_the_world_recover(self) -> None:
        self.world.rate = 0.0

    @precondition(lambda self: self.children < 2)
    @rule(times=st.integers(1, 20))
    def fork(self, times: int) -> None:
        """Have a child that records in the same world and ends; what it could tell nobody, it says here."""

        def child() -> list[int]:
            self.use(times)
            self.spool.close()
            return [sum(self.spool._unwritten.values()), self.world.faults]

        untold, faults = in_child(child)
        self.offered += times
        self.untold += untold
        self.world.faults = faults
        self.children += 1

    def teardown(self) -> None:
        """When all is well again, a drain finds every event, or why it is not there."""
        if not hasattr(self, "around"):
            return
        try:
            self.world.rate = 0.0
            self.spool.close()
            assert self.telemetry.install.drain(patience=10.0).elected
            books = self.telemetry.install.books()
            assert books.pending == 0
            assert not self.spool._unwritten
            assert books.recorded + self.untold == self.offered, (books, self.untold, self.offered)
            with self.telemetry.install.engine.connect() as connection:
                assert connection.scalar(select(func.count()).select_from(event_rows)) == books.stored
            figures = row("books under injected faults")
            figures.events += self.offered
            figures.faults += self.world.faults
        finally:
            self.telemetry.close()
            self.around.__exit__(None, None, None)
            shutil.rmtree(self.place)


@pytest.mark.timeout(3_000 if THOROUGH else 120)
def test_the_books_balance_whatever_fails(tmp_path: Path) -> None:
    """Calls, statements, commits, memory, clock and forks fail at random: no call raises, and every event is accounted for."""
    home = tmp_path / "template"
    opened = Telemetry(settings_of(home))
    assert opened.install.books().recorded == 0
    opened.close()
    machine: Any = type("Application", (Application,), {"template": home})
    examples = settings(
        max_examples=3 * ROUNDS if THOROUGH else 15,
        stateful_step_count=40,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # what fails depends on the draws of the world, so there is nothing to shrink
    )
    run_state_machine_as_test(machine, settings=examples)
    assert row("books under injected faults").faults > 500
