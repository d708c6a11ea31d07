"""The spool when nothing goes wrong: files, order, quota, threads, locks."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.record.processes import Gate, child, kill
from tests.sdk.record.spool_reading import Clock, found_in

from calos_telemetry.sdk.record import frames, spool
from calos_telemetry.sdk.record.spool import DrainLock, Spool


def test_what_is_appended_is_readable_at_once(tmp_path: Path) -> None:
    """A record is in the file when `append` returns, in order, with nothing to flush."""
    here = Spool(tmp_path / "spool")
    payloads = [b"one", b"", b"\0\0\0", bytes(frames.MAX_PAYLOAD)]
    for count, payload in enumerate(payloads, 1):
        assert here.append(payload)
        assert found_in(here.directory).events == payloads[:count]
    assert here.books == spool.Books(recorded=4)


@given(st.lists(st.binary(max_size=500), max_size=60), st.integers(600, 5000))
def test_any_payloads_in_files_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], max_file: int
) -> None:
    """Wherever one file ends and the next begins, all is there once, and no file is larger than it may be."""
    here = Spool(tmp_path_factory.mktemp("any"), max_file=max_file)
    assert all(here.append(payload) for payload in payloads)
    here.close()
    found = found_in(here.directory)
    assert sorted(found.events) == sorted(payloads)
    assert len(set(found.ids)) == len(payloads)
    assert all(path.stat().st_size <= max_file for path in spool.spool_files(here.directory))


def test_nothing_is_created_before_the_first_record(tmp_path: Path) -> None:
    """A process that records nothing leaves nothing behind."""
    here = Spool(tmp_path / "spool")
    here.sync()
    here.close()
    assert not here.directory.exists()


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """The directory is 0700 and the file 0600, appends only, and is not passed on to programs the process starts."""
    here = Spool(tmp_path / "a" / "spool")
    descriptors = Path("/proc/self/fdinfo")
    here.append(b"one")
    (path,) = spool.spool_files(here.directory)
    assert stat.S_IMODE(here.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (fd,) = (link.name for link in Path("/proc/self/fd").iterdir() if link.exists() and link.samefile(path))
    flags = int((descriptors / fd).read_text().split("flags:")[1].split()[0], 8)
    assert flags & os.O_APPEND
    assert flags & os.O_CLOEXEC


def test_a_file_is_owned_until_it_is_sealed(tmp_path: Path) -> None:
    """Ownership ends with `seal`, also within the owner's own process; a record that follows begins another file."""
    here = Spool(tmp_path)
    here.append(b"one")
    (first,) = spool.spool_files(tmp_path)
    assert spool.is_owned(first)
    here.seal()
    assert not spool.is_owned(first)
    here.append(b"two")
    (second,) = set(spool.spool_files(tmp_path)) - {first}
    assert spool.is_owned(second)
    assert not spool.is_owned(first)


def test_ownership_ends_with_the_process(tmp_path: Path) -> None:
    """The kernel gives the lock back when the owner is killed; no pid is asked, so a reused one cannot mislead."""
    ready = Gate()

    def write_and_wait() -> None:
        here = Spool(tmp_path)
        here.append(b"one")
        ready.open()
        threading.Event().wait()

    with child(write_and_wait) as pid:
        ready.pass_through()
        (path,) = spool.spool_files(tmp_path)
        assert spool.is_owned(path)
        kill(pid)
        assert not spool.is_owned(path)
    ready.close()


def test_two_who_ask_at_once_do_not_take_each_other_for_the_owner(tmp_path: Path) -> None:
    """Asking is shared: while one drain asks about a dead file, another still gets the right answer."""
    here = Spool(tmp_path)
    here.append(b"one")
    here.close()
    (path,) = spool.spool_files(tmp_path)
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert not spool.is_owned(path)
    os.close(asking)


def test_in_doubt_a_file_is_owned(tmp_path: Path) -> None:
    """What cannot be asked about is left alone."""
    assert spool.is_owned(tmp_path / "missing")


def test_only_spool_files_are_listed_oldest_first(tmp_path: Path) -> None:
    """Strangers' names, symlinks and pipes in the directory are passed over; a missing directory has no files."""
    names = ["c" * 32, "a" * 32, "b" * 32]
    for age, name in enumerate(names):
        (tmp_path / f"{name}.spl").write_bytes(b"")
        os.utime(tmp_path / f"{name}.spl", (age, age))
    (tmp_path / "readme.spl").write_text("")
    (tmp_path / f"{'d' * 32}.new").write_text("")
    (tmp_path / f"{'e' * 32}.spl").symlink_to(tmp_path / f"{'a' * 32}.spl")
    os.mkfifo(tmp_path / f"{'f' * 32}.spl")
    assert [path.stem for path in spool.spool_files(tmp_path)] == names
    assert spool.spool_files(tmp_path / "missing") == []


def test_removing_twice_is_no_trouble(tmp_path: Path) -> None:
    """A drained file that is already gone counts as removed; one that cannot go is told."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert spool.remove(tmp_path / "file")
    assert spool.remove(tmp_path / "file")
    assert not spool.remove(tmp_path / "folder")


def test_the_quota_bounds_the_directory_and_counts(tmp_path: Path) -> None:
    """Over the quota events are dropped and counted, the drain hears of it, and room made is used within a second."""
    clock = Clock()
    here = Spool(tmp_path, max_file=4096, max_total=5 * 4096, clock=clock)
    accepted = sum(here.append(bytes(100)) for _ in range(1000))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5 * 4096
    assert here.books == spool.Books(accepted, {"spool_full": 1000 - accepted})
    here.sync()
    assert found_in(tmp_path).losses == {"spool_full": 1000 - accepted}

    drained = [path for path in spool.spool_files(tmp_path) if not spool.is_owned(path)]
    readable = len(found_in(tmp_path).events)
    assert readable == accepted
    assert all(spool.remove(path) for path in drained)
    assert not here.append(b"within the second")
    clock.now += spool.RETRY_SECONDS
    assert here.append(b"after it")
    assert b"after it" in found_in(tmp_path).events
    here.sync()
    assert found_in(tmp_path).losses["spool_full"] == here.books.dropped["spool_full"]


def test_losses_beyond_the_quota_are_bounded_too(tmp_path: Path) -> None:
    """Telling of losses each second for a year while nobody drains takes no more than one file."""
    clock = Clock()
    here = Spool(tmp_path, max_file=4096, max_total=3 * 4096, clock=clock)
    for _ in range(2000):
        here.append(bytes(1000))
        here.sync()
        clock.now += spool.RETRY_SECONDS
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4 * 4096
    assert sum(here.books.dropped.values()) + here.books.recorded == 2000


def test_many_tiny_files_count_as_what_they_take(tmp_path: Path) -> None:
    """A thousand short scripts cannot fill the disk with files of a hundred bytes: each counts as a block."""
    for _ in range(100):
        here = Spool(tmp_path, max_file=4096, max_total=20 * 4096)
        here.append(b"one")
        here.close()
    assert found_in(tmp_path).events == [b"one"] * 20


@pytest.mark.parametrize(("max_file", "max_total"), [(73, 1 << 20), (1 << 32, 1 << 40), (8192, 16383), (100, 8191)])
def test_sizes_that_cannot_work_are_refused_at_once(tmp_path: Path, max_file: int, max_total: int) -> None:
    """A file must hold a record, its offsets must fit an event id, and the quota must hold two files."""
    with pytest.raises(ValueError, match="max_file"):
        Spool(tmp_path, max_file=max_file, max_total=max_total)


def test_threads_share_one_spool(tmp_path: Path) -> None:
    """Writers in four threads, with files ending, being sealed and synced meanwhile: all is there, once."""
    here = Spool(tmp_path, max_file=4096)
    done = threading.Event()

    def write(thread: int) -> None:
        for number in range(1500):
            here.append(b"%d %d" % (thread, number))

    def disturb() -> None:
        while not done.is_set():
            here.sync()
            here.seal()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    disturber = threading.Thread(target=disturb)
    for thread in (*writers, disturber):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    disturber.join()
    here.close()
    found = found_in(tmp_path)
    assert sorted(found.events) == sorted(b"%d %d" % (thread, number) for thread in range(4) for number in range(1500))
    assert found.torn == 0
    assert here.books == spool.Books(6000)


def test_sync_leaves_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sync` reaches the open file and those sealed since, once each, and the directory; then the disk has peace."""
    synced: list[str] = []
    real = os.fdatasync

    def record(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", record)
    here = Spool(tmp_path, max_file=4096)
    for _ in range(100):
        here.append(bytes(100))
    assert here.sync()
    assert here.sync()
    assert sorted(synced) == sorted(map(str, spool.spool_files(tmp_path)))


def test_one_drain_is_elected(tmp_path: Path) -> None:
    """Of any number of drains, in this process or others, one is elected, and after it another may be."""
    with DrainLock(tmp_path) as first, DrainLock(tmp_path) as second:
        assert (first, second) == (True, False)
    with DrainLock(tmp_path) as third:
        assert third


def test_a_drain_that_waits_is_elected_when_the_other_ends(tmp_path: Path) -> None:
    """An explicit flush waits for the drain under way, asking at growing intervals, and goes ahead after it."""
    other = DrainLock(tmp_path)
    other.__enter__()
    clock, pauses = Clock(), []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds
        if len(pauses) == 10:
            other.__exit__()

    with DrainLock(tmp_path, timeout=5, clock=clock, sleep=sleep) as elected:
        assert elected
    assert len(pauses) == 10
    assert pauses == sorted(pauses)


def test_a_drain_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    """The wait is bounded to the millisecond, and spends itself asleep."""
    clock, pauses = Clock(), []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds

    with DrainLock(tmp_path) as _, DrainLock(tmp_path, timeout=2, clock=clock, sleep=sleep) as elected:
        assert not elected
    assert clock.now == pytest.approx(1002)
    assert len(pauses) < 60


def test_a_lock_file_somebody_removed_elects_nobody_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that is no longer the directory's `.drain` is no election."""
    real = fcntl.flock

    def remove_first(fd: int, operation: int) -> None:
        (tmp_path / ".drain").unlink(missing_ok=True)
        real(fd, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", remove_first)
        with DrainLock(tmp_path) as elected:
            assert not elected
    with DrainLock(tmp_path) as elected:
        assert elected


def test_a_directory_one_may_not_drain_says_why(tmp_path: Path) -> None:
    """Where there is no place for the lock, nobody is elected, at once, and the error is there to show."""
    lock = DrainLock(tmp_path / "missing", timeout=60)
    with lock as elected:
        assert not elected
    assert isinstance(lock.error, FileNotFoundError)


def test_importing_the_spool_is_light() -> None:
    """By itself the spool needs msgspec, as every event does, and of the standard library no heavy part; no thread starts."""
    package = str(Path(spool.__file__).parents[2])
    code = (
        "import sys, threading, types\n"
        "bare = sys.modules['calos_telemetry'] = types.ModuleType('calos_telemetry')\n"
        f"bare.__path__ = [{package!r}]\n"
        "before = set(sys.modules)\n"
        "import calos_telemetry.sdk.record.spool\n"
        "assert threading.active_count() == 1\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert loaded - sys.stdlib_module_names <= {"calos_telemetry", "msgspec", "typing_extensions"}
    assert not loaded & {"asyncio", "logging", "sqlite3", "http", "ssl", "multiprocessing", "subprocess"}
