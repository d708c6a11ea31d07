"""The order of the drain's steps, where only the worst timing shows what it is for.

Events have ids that make storing them twice harmless; the losses a spool file tells of have none, so they show it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from calos_telemetry.contract.events import FeatureUsage, to_record
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.drain import Drain
from calos_telemetry.sdk.record.spool import Spool, spool_files
from calos_telemetry.settings import Settings
from calos_telemetry.store.install_tables import books
from calos_telemetry.store.tables import events

RECORD = to_record(1_764_000_000_000, FeatureUsage(feature="pos"))


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture
def drain(tmp_path: Path, engine: Engine) -> Drain:
    return Drain(tmp_path / "spool", engine, "ab" * 16, Policy(Settings(home=tmp_path), Tier.ENTERPRISE))


def stored_and_lost(engine: Engine) -> tuple[int | None, int | None]:
    with engine.connect() as connection:
        stored = connection.scalar(select(func.count()).select_from(events))
        return stored, connection.scalar(select(books.c.events).where(books.c.entry == "dropped:oversize"))


def test_what_a_dying_process_writes_during_the_drain_is_kept(
    tmp_path: Path, engine: Engine, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner writes once more after its file was read, and dies: the file must stay for the next drain."""
    here = Spool(tmp_path / "spool")
    assert here.append(RECORD)
    read = frames.read_records

    def read_then_die(source: frames.Source, start: int = 0) -> Iterator[frames.Record]:
        yield from read(source, start)
        monkeypatch.undo()
        assert here.append(RECORD)
        assert not here.append(bytes(70_000))
        here.close()

    monkeypatch.setattr(frames, "read_records", read_then_die)
    assert drain.run().events == 1
    assert drain.run().events == 1
    assert stored_and_lost(engine) == (2, 1)
    assert spool_files(here.directory) == []


def test_a_drain_that_ends_before_its_cursor_leaves_nothing(
    tmp_path: Path, engine: Engine, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events, losses and cursor are one transaction: cut off before the cursor, all of it happens at the next drain."""
    here = Spool(tmp_path / "spool")
    assert here.append(RECORD)
    assert not here.append(bytes(70_000))
    here.close()

    def cut_off(*_: object) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as cutting:
        cutting.setattr(Drain, "_advance", cut_off)
        with pytest.raises(OSError, match="cut off"):
            drain.run()
    assert stored_and_lost(engine) == (0, None)
    drain.run()
    assert stored_and_lost(engine) == (1, 1)


def test_the_cursor_outlives_its_file(tmp_path: Path, engine: Engine, drain: Drain) -> None:
    """A drained file that comes back (its removal never reached the disk) adds neither events nor losses."""
    here = Spool(tmp_path / "spool")
    assert here.append(RECORD)
    assert not here.append(bytes(70_000))
    here.close()
    (path,) = spool_files(here.directory)
    content = path.read_bytes()
    drain.run()
    path.write_bytes(content)
    drain.run()
    assert stored_and_lost(engine) == (1, 1)
    assert spool_files(here.directory) == []
