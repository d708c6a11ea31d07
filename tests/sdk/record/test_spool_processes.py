"""The spool among processes and threads: births, forks, interruptions and elections, at the worst of moments."""

import ctypes
import fcntl
import os
import select
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.record.faulty_os import replace_os
from tests.sdk.record.processes import Gate, child, ended_well, kill
from tests.sdk.record.spool_reading import Clock, assert_balanced, found_in, offer

from calos_telemetry.sdk.record import directory as spool_directory
from calos_telemetry.sdk.record import frames, spool
from calos_telemetry.sdk.record.spool import DrainLock, Spool

ROUNDS = int(os.environ.get("CALOS_FAULT_ROUNDS", "10"))


# -- births --------------------------------------------------------------------------------------------------------


def test_no_file_is_in_sight_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every single call that begins a file, whatever a drain could see is owned and has its header."""
    looks: list[Path] = []
    looking: list[bool] = []

    def look_after(call: Callable[..., Any]) -> Callable[..., Any]:
        def perform(*arguments: Any, **options: Any) -> Any:
            answer = call(*arguments, **options)
            if not looking:
                looking.append(True)
                for path in spool.spool_files(tmp_path):
                    assert spool.is_owned(path)
                    assert isinstance(frames.read_header(path), frames.Header)
                    looks.append(path)
                looking.clear()
            return answer

        return perform

    monkeypatch.setattr(os, "rename", look_after(os.rename))
    monkeypatch.setattr(fcntl, "flock", look_after(fcntl.flock))
    replace_os(monkeypatch, open=look_after(os.open), write=look_after(os.write))
    here = Spool(tmp_path)
    assert here.append(b"one")
    assert len(looks) == 2  # after the rename, after the record; and nothing before


@pytest.mark.parametrize("records", [0, 3])
def test_the_dead_born_are_settled(tmp_path: Path, records: int) -> None:
    """A `.new` file of a dead process is removed, or gets its name if a lost rename left records in it."""
    seed = frames.seed_of(bytes(16))
    data = frames.encode_header(bytes(16), 1, 1) + b"".join([frames.encode_record(b"one", seed)] * records)
    newborn = tmp_path / f"{bytes(16).hex()}.new"
    newborn.write_bytes(data)
    born = newborn.stat().st_mtime
    assert spool.adopt_leftovers(tmp_path, now=born + spool_directory.PARTIAL_SECONDS) == 0
    assert newborn.exists()
    assert spool.adopt_leftovers(tmp_path, now=born + spool_directory.PARTIAL_SECONDS + 1) == 1
    assert not newborn.exists()
    assert found_in(tmp_path).events == [b"one"] * records


def test_the_living_newborn_is_left_alone(tmp_path: Path) -> None:
    """However old a `.new` file looks (the clock may have jumped), its living owner's lock protects it."""
    newborn = tmp_path / f"{bytes(16).hex()}.new"
    newborn.write_bytes(frames.encode_header(bytes(16), 1, 1))
    fd = os.open(newborn, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert spool.adopt_leftovers(tmp_path, now=time.time() + 1e6) == 0
    assert newborn.exists()
    os.close(fd)
    assert spool.adopt_leftovers(tmp_path / "missing") == 0


def test_a_birth_disturbed_by_the_cleaner_costs_nothing_but_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cleaned away between its creation and its lock is a failed open like any other: counted, then retried."""
    clock = Clock()
    here = Spool(tmp_path, clock=clock)
    real = fcntl.flock

    def clean_first(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        assert spool.adopt_leftovers(tmp_path, now=time.time() + 1e6) == 1
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    assert not here.append(b"one")
    clock.now += spool.RETRY_SECONDS
    assert_balanced(here, offer(here, 5), 6)


def test_a_spool_keeps_off_the_standard_streams(tmp_path: Path) -> None:
    """Where stdin, stdout and stderr were closed, prints must not end up in our file."""

    def without_streams() -> None:
        for fd in range(3):
            os.close(fd)
        here = Spool(tmp_path)
        here.append(b"one")
        for fd in range(3):
            try:
                os.write(fd, b"print")
            except OSError:
                continue
        here.append(b"two")

    with child(without_streams) as pid:
        assert ended_well(pid)
    assert found_in(tmp_path).events == [b"one", b"two"]


# -- forks, threads, interruptions ---------------------------------------------------------------------------------


def test_a_fork_shares_nothing(tmp_path: Path) -> None:
    """Parent and child go on in files of their own, with books of their own, and nothing is lost or doubled."""
    here = Spool(tmp_path)
    events = [b"before %d" % number for number in range(100)]
    assert all(here.append(event) for event in events)

    def go_on() -> None:
        assert here.books == spool.Books()
        assert all(here.append(b"child %d" % number) for number in range(100))
        assert here.books == spool.Books(100)

    with child(go_on) as pid:
        assert all(here.append(b"parent %d" % number) for number in range(100))
        assert ended_well(pid)
    assert here.books == spool.Books(200)
    events += [b"%s %d" % (who, number) for who in (b"child", b"parent") for number in range(100)]
    found = found_in(tmp_path)
    assert sorted(found.events) == sorted(events)
    assert found.files == 2


def test_a_child_does_not_keep_its_parents_file_alive(tmp_path: Path) -> None:
    """A worker that lives for weeks must not make the file it inherited look owned: the drain could never remove it."""
    here = Spool(tmp_path)
    here.append(b"one")
    (path,) = spool.spool_files(tmp_path)
    ready = Gate()

    def live_on() -> None:
        ready.open()
        threading.Event().wait()

    with child(live_on):
        ready.pass_through()
        assert spool.is_owned(path)
        here.close()
        assert not spool.is_owned(path)
    ready.close()


def test_a_fork_without_hooks_corrupts_nothing(tmp_path: Path) -> None:
    """Two processes on one descriptor, as C code can bring about: every record stays whole, and there once."""
    here = Spool(tmp_path)
    here.append(b"before")
    fork = ctypes.CDLL(None).fork

    def go_on() -> None:
        assert all(here.append(b"child %d" % number) for number in range(3000))

    with child(go_on, fork) as pid:
        assert all(here.append(b"parent %d" % number) for number in range(3000))
        assert ended_well(pid)
    expected = [b"before", *(b"%s %d" % (who, number) for who in (b"child", b"parent") for number in range(3000))]
    assert sorted(found_in(tmp_path).events) == sorted(expected)


def record_as_child(here: Spool, number: int) -> None:
    assert all(here.append(b"child %d %d" % (number, again)) for again in range(20))


def test_forks_in_the_midst_of_writing_threads(tmp_path: Path) -> None:
    """Whatever a thread was doing at the fork, the child can record, holds nothing of the parent's, and books balance."""
    here = Spool(tmp_path, max_file=2048)
    done = threading.Event()
    written: list[bytes] = []

    def write() -> None:
        while not done.is_set():
            event = b"parent %d" % len(written)
            assert here.append(event)
            written.append(event)

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(3 * ROUNDS):
        with child(partial(record_as_child, here, number)) as pid:
            assert ended_well(pid)
    done.set()
    writer.join()
    here.close()
    written += [b"child %d %d" % (number, again) for number in range(3 * ROUNDS) for again in range(20)]
    found = found_in(tmp_path)
    assert sorted(found.events) == sorted(written)
    assert found.torn == 0
    assert not any(map(spool.is_owned, spool.spool_files(tmp_path)))


def test_a_fork_waits_for_a_file_to_be_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child forked while another thread begins a file inherits no descriptor that nobody would ever close."""
    here = Spool(tmp_path)
    begun, forked = Gate(), Gate()

    def begin_slowly(fd: int, data: bytes) -> int:
        monkeypatch.undo()
        begun.open()
        select.select([forked.reading], [], [], 0.01)  # as if the disk took that long
        return os.write(fd, data)

    replace_os(monkeypatch, write=begin_slowly)
    writer = threading.Thread(target=here.append, args=(b"one",))
    writer.start()
    begun.pass_through()

    def see_what_was_inherited() -> None:
        links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        assert not [link for link in links if link.startswith(str(tmp_path))], links

    with child(see_what_was_inherited) as pid:
        forked.open()
        assert ended_well(pid)
    writer.join()
    begun.close()
    forked.close()


@pytest.mark.parametrize("moment", ["write", "open", "urandom", "scandir", "close"])
def test_a_record_from_within_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """A signal handler or finalizer that records in the midst of a record neither hangs nor loses either of the two."""
    here = Spool(tmp_path, max_file=300)
    depth: list[int] = []
    inner: list[bytes] = []
    real = getattr(os, moment)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if not depth:
            depth.append(1)
            inner.append(b"inner %d" % len(inner) + bytes(80))
            assert here.append(inner[-1])
            depth.pop()
        return real(*arguments, **options)

    outer = [b"outer %d" % number + bytes(80) for number in range(50)]
    with monkeypatch.context() as interrupting:
        replace_os(interrupting, **{moment: interrupted})
        assert all(here.append(event) for event in outer)
    here.close()
    found = found_in(tmp_path)
    assert inner
    assert sorted(found.events) == sorted(outer + inner)
    assert found.torn == 0
    assert not any(map(spool.is_owned, spool.spool_files(tmp_path)))


def test_a_rotation_between_framing_and_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record framed for one file is never written into the next, should an interruption begin that in between."""
    here = Spool(tmp_path)
    assert here.append(b"first")

    def interrupted(*arguments: Any) -> int:
        monkeypatch.setattr(spool, "crc32", zlib.crc32)
        here.seal()
        assert here.append(b"inner")
        return zlib.crc32(*arguments)

    monkeypatch.setattr(spool, "crc32", interrupted)
    assert here.append(b"outer")
    found = found_in(tmp_path)
    assert sorted(found.events) == [b"first", b"inner", b"outer"]
    assert found.torn == 0


# -- the drain's lock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [os.fork, ctypes.CDLL(None).fork])
def test_a_child_does_not_keep_the_drains_lock(tmp_path: Path, fork: Callable[[], int]) -> None:
    """A process forked during a drain does not block all later drains, whether or not the fork ran our hook."""
    ready = Gate()

    def live_on() -> None:
        ready.open()
        threading.Event().wait()

    lock = DrainLock(tmp_path)
    assert lock.__enter__()
    with child(live_on, fork):
        ready.pass_through()
        lock.__exit__()
        with DrainLock(tmp_path) as elected:
            assert elected
    ready.close()


def test_a_child_cannot_end_its_parents_election(tmp_path: Path) -> None:
    """A child that leaves the block its parent drains in gives nothing back: the election is not its own."""
    lock = DrainLock(tmp_path)
    with lock as elected:
        assert elected
        with child(lock.__exit__) as pid:
            assert ended_well(pid)
        with DrainLock(tmp_path) as second:
            assert not second


def test_a_killed_drain_is_succeeded(tmp_path: Path) -> None:
    """The election ends with the process, also while a child it forked lives on."""
    ready, over = Gate(), Gate()

    def drain_and_fork() -> None:
        lock = DrainLock(tmp_path)
        assert lock.__enter__()
        if os.fork() == 0:
            ready.open()
            over.pass_through()
            os._exit(0)
        threading.Event().wait()

    try:
        with child(drain_and_fork) as pid:
            ready.pass_through()
            kill(pid)
            with DrainLock(tmp_path) as elected:
                assert elected
    finally:
        over.open()
        ready.close()
        over.close()
