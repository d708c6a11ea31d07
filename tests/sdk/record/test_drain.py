"""Spool → database, exactly once, whatever dies and when."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from tests.sdk.record.faulty_os import replace_os

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.events import FeatureUsage, to_record
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record import drain as drain_module
from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.drain import CURSOR_KEPT_MS, Drain
from calos_telemetry.sdk.record.spool import DrainLock, Spool, spool_files
from calos_telemetry.sdk.record.waiting import pending
from calos_telemetry.settings import Settings
from calos_telemetry.store.install_tables import books, spool_cursors
from calos_telemetry.store.tables import aggregates, events, features

INSTALL_ID = "ab" * 16
AT = 1_764_000_000_000


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    opened = Spool(directory)
    yield opened
    opened.close()


def a_drain(spool: Spool, engine: Engine, *, disabled: bool = False) -> Drain:
    settings = Settings(home=spool.directory.parent, telemetry_disabled=disabled)
    return Drain(spool.directory, engine, INSTALL_ID, Policy(settings, Tier.ENTERPRISE))


def use(spool: Spool, times: int, feature: str = "pos") -> None:
    for number in range(times):
        assert spool.append(to_record(AT + number, FeatureUsage(feature=feature)))


def total(engine: Engine) -> tuple[int, int, int, int]:
    """Return events, uses in features, uses in aggregates, and stored in the books: all four must agree."""
    with engine.connect() as connection:
        return (
            connection.scalar(select(func.count()).select_from(events)) or 0,
            connection.scalar(select(func.sum(features.c.usage_count))) or 0,
            connection.scalar(select(func.sum(aggregates.c.value)).where(aggregates.c.counter == "feature")) or 0,
            connection.scalar(select(books.c.events).where(books.c.entry == "stored")) or 0,
        )


def entry(engine: Engine, name: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(books.c.events).where(books.c.entry == name)) or 0


def test_what_was_spooled_is_stored_and_rolled_up_once(spool: Spool, engine: Engine) -> None:
    """A living process's file is drained as far as it is written, again later, and removed only once it is sealed."""
    use(spool, 10)
    assert a_drain(spool, engine).run().events == 10
    assert total(engine) == (10, 10, 10, 10)
    use(spool, 5)
    assert pending(spool.directory, engine) == 5
    spool.seal()
    assert a_drain(spool, engine).run().events == 5
    assert total(engine) == (15, 15, 15, 15)
    assert spool_files(spool.directory) == []


def test_many_events_take_many_transactions(spool: Spool, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than one transaction is stored whole, each transaction with its own revision."""
    monkeypatch.setattr(drain_module, "EVENTS_PER_TRANSACTION", 7)
    use(spool, 50)
    assert a_drain(spool, engine).run().events == 50
    assert total(engine) == (50, 50, 50, 50)


def test_many_small_files_take_one_transaction(spool: Spool, engine: Engine) -> None:
    """Files of many short-lived processes are stored together, each with its cursor, and removed."""
    for _ in range(5):
        use(spool, 4)
        spool.seal()
    assert len(spool_files(spool.directory)) == 5
    assert a_drain(spool, engine).run().events == 20
    assert total(engine) == (20, 20, 20, 20)
    with engine.connect() as connection:
        assert len({row.revision for row in connection.execute(select(aggregates.c.revision))}) == 1
        assert len(connection.execute(select(spool_cursors)).all()) == 5
    assert spool_files(spool.directory) == []


@pytest.mark.parametrize("at_once", [1, 3, 4, 7, 100])
def test_loads_may_begin_and_end_anywhere_in_files(
    spool: Spool, engine: Engine, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Wherever transactions cut through the files of the dead and the living, each event is stored once; dead files go."""
    monkeypatch.setattr(drain_module, "EVENTS_PER_TRANSACTION", at_once)
    for number in (4, 0, 1, 5, 3):
        use(spool, number)
        spool.seal()
    use(spool, 6)
    assert a_drain(spool, engine).run().events == 19
    (living,) = spool_files(spool.directory)
    use(spool, 2)
    assert a_drain(spool, engine).run().events == 2
    assert total(engine) == (21, 21, 21, 21)
    assert spool_files(spool.directory) == [living]
    assert entry(engine, f"dropped:{frames.TORN}") == 0


def test_a_file_that_cannot_be_read_does_not_hold_up_those_before_it(
    spool: Spool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails under one file costs neither the events read before it nor that file."""
    for _ in range(3):
        use(spool, 4)
        spool.seal()
    *_, last = spool_files(spool.directory)
    read = frames.read_records

    def fail(source: frames.Source, start: int = 0) -> Iterator[frames.Record]:
        if source == last:
            raise OSError(errno.EIO, "the disk fails")
        yield from read(source, start)

    with monkeypatch.context() as failing:
        failing.setattr(frames, "read_records", fail)
        with pytest.raises(OSError, match="the disk fails"):
            a_drain(spool, engine).run()
    assert total(engine) == (8, 8, 8, 8)
    assert spool_files(spool.directory) == [last]
    assert a_drain(spool, engine).run().events == 4
    assert total(engine) == (12, 12, 12, 12)


KillAt = Callable[[pytest.MonkeyPatch], None]


def _die(*_args: Any, **_kwargs: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(name: str) -> KillAt:
    def plant(patch: pytest.MonkeyPatch) -> None:
        original = getattr(drain_module, name)

        def then_die(*args: Any, **kwargs: Any) -> Any:
            original(*args, **kwargs)
            _die()

        patch.setattr(drain_module, name, then_die)

    return plant


def _die_at(name: str) -> KillAt:
    return lambda patch: patch.setattr(drain_module, name, _die)


STEPS = {
    "after taking the lock": _die_at("adopt_leftovers"),
    "before reading": _die_at("is_owned"),
    "in the transaction, before the rows": _die_at("store_events"),
    "in the transaction, after the rows": _die_after("store_events"),
    "in the transaction, before the cursor": _die_at("add_up"),
    "in the transaction, after the cursor": _die_after("add_up"),
    "committed, before the file is removed": _die_at("remove"),
    "after the file is removed": _die_after("remove"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_drain_killed_at_any_step_loses_and_doubles_nothing(
    spool: Spool, engine: Engine, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kill -9` at each step of a drain: the next drain brings exactly what is missing."""
    use(spool, 30)
    spool.seal()
    engine.dispose()
    child = os.fork()
    if child == 0:
        try:
            STEPS[step](monkeypatch)
            a_drain(spool, engine).run()
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    a_drain(spool, engine).run()
    assert total(engine) == (30, 30, 30, 30)
    assert spool_files(spool.directory) == []


def test_a_file_that_comes_back_is_not_counted_twice(spool: Spool, engine: Engine) -> None:
    """A drained file that reappears (its removal never reached the disk, a restored backup) adds nothing."""
    use(spool, 12)
    spool.seal()
    (path,) = spool_files(spool.directory)
    content = path.read_bytes()
    a_drain(spool, engine).run()
    path.write_bytes(content)
    assert a_drain(spool, engine).run().events == 0
    assert total(engine) == (12, 12, 12, 12)


def test_two_drains_at_once_elect_one(spool: Spool, engine: Engine) -> None:
    """While one process drains, another one's drain stands aside and touches nothing."""
    use(spool, 3)
    with DrainLock(spool.directory) as elected:
        assert elected
        assert not a_drain(spool, engine).run().elected
    assert total(engine) == (0, 0, 0, 0)


def test_concurrent_flushes_of_threads_store_each_event_once(spool: Spool, engine: Engine) -> None:
    """Threads that flush at the same time, each with patience, end with every event stored once."""
    use(spool, 200)
    threads = [threading.Thread(target=a_drain(spool, engine).run, kwargs={"patience": 20.0}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(engine) == (200, 200, 200, 200)


def test_losses_of_the_spool_reach_the_books(tmp_path: Path, engine: Engine) -> None:
    """What a process could not spool is in the install's books, by reason, even after that process has gone."""
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    small = Spool(directory, max_file=4_096, max_total=8_192)
    assert not small.append(b"x" * 70_000)
    use(small, 2)
    small.close()
    a_drain(small, engine).run()
    assert entry(engine, "dropped:oversize") == 1
    assert total(engine)[0] == 2


def test_a_record_cut_off_by_a_kill_is_counted_as_torn(spool: Spool, engine: Engine) -> None:
    """The record that its writer was killed in the middle of is counted, once."""
    use(spool, 4)
    spool.seal()
    (path,) = spool_files(spool.directory)
    path.write_bytes(path.read_bytes()[:-5])
    a_drain(spool, engine).run()
    a_drain(spool, engine).run()
    assert (total(engine)[0], entry(engine, "dropped:torn")) == (3, 1)


def test_a_write_cut_short_that_succeeded_elsewhere_is_no_loss(
    spool: Spool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk cuts a record short and the next file takes it whole: the torn tail is not counted as a lost event."""
    use(spool, 3)
    with monkeypatch.context() as once:
        short = iter([True])
        replace_os(once, write=lambda fd, data: os.write(fd, data[:20] if next(short, False) else data))
        use(spool, 1)
    use(spool, 2)
    spool.seal()
    a_drain(spool, engine).run()
    assert (total(engine)[0], entry(engine, "dropped:torn")) == (6, 0)


def test_a_record_of_an_unknown_kind_is_counted_not_fatal(spool: Spool, engine: Engine) -> None:
    """A record that does not decode (a newer release wrote it) is counted and the rest is stored."""
    use(spool, 1)
    assert spool.append(b"\xffgarbage-that-is-no-event")
    use(spool, 1)
    a_drain(spool, engine).run()
    assert (total(engine)[0], entry(engine, "dropped:undecodable")) == (2, 1)


def test_switched_off_means_nothing_is_stored(spool: Spool, engine: Engine) -> None:
    """Events spooled before the operator switched telemetry off are dropped and counted, not stored."""
    use(spool, 6)
    spool.seal()
    a_drain(spool, engine, disabled=True).run()
    assert total(engine) == (0, 0, 0, 0)
    assert entry(engine, "dropped:policy") == 6
    assert spool_files(spool.directory) == []


def test_a_foreign_file_is_set_aside_not_deleted(spool: Spool, engine: Engine) -> None:
    """A file in the spool that is not ours is kept under another name, and the rest is drained."""
    stranger = spool.directory / ("0" * 32 + ".spl")
    stranger.write_bytes(b"not a spool file, but perhaps somebody's data" * 10)
    use(spool, 2)
    a_drain(spool, engine).run()
    assert total(engine)[0] == 2
    assert not stranger.exists()
    assert stranger.with_suffix(".unreadable").read_bytes().startswith(b"not a spool file")


def test_old_cursors_are_forgotten_but_not_those_of_living_files(
    spool: Spool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cursors are kept seven days after their file went, and as long as their file is there."""
    use(spool, 1)
    a_drain(spool, engine).run()
    other = Spool(spool.directory)
    use(other, 1)
    other.close()
    a_drain(spool, engine).run()
    later = now_ms() + CURSOR_KEPT_MS + MS_PER_DAY
    monkeypatch.setattr(drain_module, "now_ms", lambda: later)
    a_drain(spool, engine).run()
    with engine.connect() as connection:
        left = set(connection.scalars(select(spool_cursors.c.file_id)))
    assert left == {path.stem for path in spool_files(spool.directory)}
    assert len(left) == 1
