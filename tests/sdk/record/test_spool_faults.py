"""The spool when the world fails: every event offered is readable or counted as dropped, to the unit, and nothing raises."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.sdk.record.faulty_os import failing, replace_os
from tests.sdk.record.processes import child, ended_well, in_child
from tests.sdk.record.spool_reading import Clock, assert_balanced, found_in, offer

from calos_telemetry.sdk.record import frames, spool
from calos_telemetry.sdk.record.spool import DrainLock, Spool

ROUNDS = int(os.environ.get("CALOS_FAULT_ROUNDS", "10"))


# -- space ---------------------------------------------------------------------------------------------------------


def test_a_limit_on_file_size_costs_nothing(tmp_path: Path) -> None:
    """A write cut short by RLIMIT_FSIZE leaves a torn tail, and the record goes whole into the next file."""

    def under_limit() -> list[int]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        here = Spool(tmp_path)
        taken = offer(here, 2000)
        assert_balanced(here, taken, 2000)
        found = found_in(tmp_path)
        return [len(taken), found.torn, found.files]

    taken, torn, files = in_child(under_limit)
    assert taken == 2000
    assert torn == files - 1 > 0


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", name]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("mounting a tmpfs is not permitted here")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def test_a_full_disk_costs_what_does_not_fit(small_disk: Path) -> None:
    """On a full disk events are dropped and counted; one second after the drain made room, recording goes on."""
    clock = Clock()
    here = Spool(small_disk, max_file=60_000, clock=clock)
    taken = offer(here, 5000)
    assert sorted(found_in(small_disk).events) == sorted(taken)
    assert here.books.dropped == {"disk_full": 5000 - len(taken)}

    assert not any(map(spool.is_owned, spool.spool_files(small_disk)))
    assert all(map(spool.remove, spool.spool_files(small_disk)))
    assert not here.append(b"within the second")
    clock.now += spool.RETRY_SECONDS
    assert here.append(b"after it")
    here.close()
    assert found_in(small_disk).events == [b"after it"]
    assert found_in(small_disk).losses == here.books.dropped


def test_a_full_disk_is_asked_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be opened, an event costs no system call, except one attempt a second."""
    attempts = []

    def refuse(path: Path, *_: object) -> None:
        attempts.append(path)
        raise OSError(errno.ENOSPC, "full")

    replace_os(monkeypatch, open=refuse)
    clock = Clock()
    here = Spool(tmp_path, clock=clock)
    for _ in range(100):
        assert offer(here, 10) == []
        clock.now += spool.RETRY_SECONDS / 10
    assert len(attempts) == 10
    assert here.books.dropped == {"disk_full": 1000}


def test_nothing_follows_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After torn bytes nobody could read what is appended: the file is left as it is, and given up."""
    here = Spool(tmp_path)
    taken = offer(here, 3)
    (torn,) = spool.spool_files(tmp_path)
    with monkeypatch.context() as once:
        short = iter([True])
        replace_os(once, write=lambda fd, data: os.write(fd, data[:20] if next(short, False) else data))
        taken += offer(here, 1)
    size = torn.stat().st_size
    taken += offer(here, 3)
    assert torn.stat().st_size == size
    assert not spool.is_owned(torn)
    assert found_in(tmp_path).torn == 1
    assert_balanced(here, taken, 7)


# -- permissions and the directory ---------------------------------------------------------------------------------


@pytest.fixture
def open_place() -> Iterator[Path]:
    """Make a directory that any user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_read_only_directory_is_counted_and_recovers(open_place: Path) -> None:
    """Without permission to write, events are dropped as unwritable; with it, recording goes on."""
    home = open_place / "spool"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, 65534, 65534)
    home.chmod(0o555)

    def as_nobody() -> int:
        if os.geteuid() == 0:
            os.seteuid(65534)
        clock = Clock()
        here = Spool(home, clock=clock)
        assert offer(here, 100) == []
        assert here.books.dropped == {"unwritable": 100}
        assert not DrainLock(home).__enter__()
        home.chmod(0o700)
        clock.now += spool.RETRY_SECONDS
        taken = offer(here, 100)
        assert_balanced(here, taken, 200)
        return len(taken)

    assert in_child(as_nobody) == 100


def test_a_directory_removed_under_us_is_made_again(tmp_path: Path) -> None:
    """Whoever deletes the directory takes what was in it; from the next sync on, records are safe again."""
    here = Spool(tmp_path / "spool")
    offer(here, 5)
    subprocess.run(["rm", "-r", here.directory], check=True)
    offer(here, 5)
    here.sync()
    taken = offer(here, 5)
    assert found_in(here.directory).events == taken


@pytest.mark.parametrize("place", ["file", "\0"])
def test_a_path_that_can_be_no_directory_is_counted(tmp_path: Path, place: str) -> None:
    """A file in the directory's place, or a path no system call takes, is a reason to drop, not to raise."""
    (tmp_path / "file").write_text("")
    here = Spool(tmp_path / place)
    assert offer(here, 10) == []
    here.sync()
    here.close()
    assert here.books.dropped == {"unwritable": 10}


def test_a_planted_symlink_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to the directory cannot make us write to, lock or read a file elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    home = tmp_path / "spool"
    home.mkdir()
    known = bytes(16)
    (home / f"{known.hex()}.new").symlink_to(victim)
    (home / f"{'1' * 32}.spl").symlink_to(victim)
    (home / ".drain").symlink_to(victim)
    replace_os(monkeypatch, urandom=lambda _: known)
    here = Spool(home)
    assert offer(here, 5, size=8) == []
    assert here.books.dropped == {"unwritable": 5}
    lock = DrainLock(home)
    with lock as elected:
        assert not elected
    assert lock.error is not None
    assert spool.spool_files(home) == []
    assert victim.read_text() == "precious"


def test_a_planted_pipe_holds_nobody_up(tmp_path: Path) -> None:
    """Asking about a pipe returns at once instead of waiting for a writer."""
    os.mkfifo(tmp_path / f"{'1' * 32}.spl")
    os.mkfifo(tmp_path / f"{'2' * 32}.new")
    os.utime(tmp_path / f"{'2' * 32}.new", (0, 0))
    assert spool.spool_files(tmp_path) == []
    assert spool.adopt_leftovers(tmp_path) == 0
    spool.is_owned(tmp_path / f"{'1' * 32}.spl")


# -- failing calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["open", "write", "urandom", "scandir"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EDQUOT])
def test_any_failing_call_is_counted_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Whichever call fails, and how: dropped by reason, told to the drain later, and gone on with after a second."""
    clock = Clock()
    here = Spool(tmp_path, max_file=4096, clock=clock)
    taken = offer(here, 10)
    with monkeypatch.context() as broken:
        replace_os(broken, **{call: failing(number)})
        taken += offer(here, 100)
        here.sync()
        here.seal()
    clock.now += spool.RETRY_SECONDS
    taken += offer(here, 50)
    reason = "disk_full" if number in (errno.ENOSPC, errno.EDQUOT) else "unwritable"
    assert set(here.books.dropped) == {reason}
    assert_balanced(here, taken, 160)


def test_a_failing_lock_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files cannot be locked nothing is recorded, for a drain could not tell the living from the dead."""
    with monkeypatch.context() as broken:
        broken.setattr(fcntl, "flock", failing(errno.ENOLCK))
        here = Spool(tmp_path)
        assert offer(here, 10) == []
    assert list(tmp_path.iterdir()) == []
    assert_balanced(here, [], 10)


def test_a_disk_that_confirms_nothing_is_told_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync the kernel may have let go of the pages: told in the books, and another file begun."""
    here = Spool(tmp_path)
    taken = offer(here, 5)
    with monkeypatch.context() as broken:
        replace_os(broken, fdatasync=failing(errno.EIO))
        assert not here.sync()
    taken += offer(here, 5)
    assert here.books.sync_failures == 1
    assert found_in(tmp_path).files == 2
    assert_balanced(here, taken, 10)


Fault = int | str | None
FAULTS = st.lists(
    st.sampled_from([None, None, None, "short", "memory", errno.EIO, errno.ENOSPC, errno.EACCES]), max_size=40
)
CALLS = ("open", "write", "scandir", "fdatasync", "urandom", "rename", "flock")


def scripted(call: Callable[..., Any], script: list[Fault]) -> Callable[..., Any]:
    """Make a call follow a script, one entry each time, then behave."""
    entries = iter(script)

    def perform(*arguments: Any, **options: Any) -> Any:
        fault = next(entries, None)
        if fault is None or (fault == "short" and call is not os.write):
            return call(*arguments, **options)
        if fault == "short":
            return call(arguments[0], arguments[1][: len(arguments[1]) // 2])
        if fault == "memory":
            raise MemoryError
        assert isinstance(fault, int)
        raise OSError(fault, os.strerror(fault))

    return perform


@settings(max_examples=100 * ROUNDS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scripts=st.fixed_dictionaries(dict.fromkeys(CALLS, FAULTS)),
    steps=st.lists(st.sampled_from(["offer", "offer", "offer", "large", "sync", "seal", "wait"]), max_size=60),
)
@example({name: [] for name in CALLS} | {"write": [None, "memory"]}, ["offer", "offer"])  # full, and losses to tell of
@example(
    {name: [] for name in CALLS} | {"write": [None, "memory", None, errno.EIO]}, ["offer", "sync"]
)  # or not to tell
def test_the_books_balance_under_any_faults(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, list[Fault]],
    steps: list[str],
) -> None:
    """Any mix of failing calls at any moments: nothing raises, no descriptor leaks, and the books are right at the end."""
    clock = Clock()
    here = Spool(tmp_path_factory.mktemp("faults"), max_file=4096, clock=clock)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    taken: list[bytes] = []
    offered = 0
    with monkeypatch.context() as broken:
        calls = {name: scripted(getattr(os, name), scripts[name]) for name in CALLS if hasattr(os, name)}
        broken.setattr(fcntl, "flock", scripted(fcntl.flock, scripts["flock"]))
        broken.setattr(os, "rename", calls.pop("rename"))
        replace_os(broken, **calls)
        for step in steps:
            if step == "sync":
                here.sync()
            elif step == "seal":
                here.seal()
            elif step == "wait":
                clock.now += spool.RETRY_SECONDS
            else:
                count = 1 if step == "large" else 7
                taken += offer(here, count, size=70_000 if step == "large" else 300)
                offered += count
    assert_balanced(here, taken, offered)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


# -- losses --------------------------------------------------------------------------------------------------------


def test_what_is_too_large_is_told_at_once(tmp_path: Path) -> None:
    """An oversize event is dropped, and the drain hears of it even when the process is killed right after."""

    def be_killed() -> None:
        here = Spool(tmp_path)
        assert not here.append(bytes(frames.MAX_PAYLOAD + 1))
        assert here.append(b"fits")
        os.kill(os.getpid(), signal.SIGKILL)

    with child(be_killed) as pid:
        assert not ended_well(pid)
    assert found_in(tmp_path).losses == {"oversize": 1}
    assert found_in(tmp_path).events == [b"fits"]


def test_losses_outlive_the_process_once_a_file_opens(tmp_path: Path) -> None:
    """What was dropped while nothing could be opened is in the first file that can, before any event."""
    clock = Clock()

    def be_killed() -> None:
        here = Spool(tmp_path / "spool", clock=clock)
        (tmp_path / "spool").write_text("in the way")
        offer(here, 7)
        (tmp_path / "spool").unlink()
        clock.now += spool.RETRY_SECONDS
        assert here.append(b"one")
        os.kill(os.getpid(), signal.SIGKILL)

    with child(be_killed) as pid:
        assert not ended_well(pid)
    assert found_in(tmp_path / "spool").losses == {"unwritable": 7}
    assert found_in(tmp_path / "spool").events == [b"one"]
