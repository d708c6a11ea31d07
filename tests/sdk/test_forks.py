"""Processes that come out of a process with telemetry: each writes its own file, and nothing is lost or counted twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from .conftest import HOST

PRELUDE = f"""
import multiprocessing, os, sys, threading
from pathlib import Path
from calos_telemetry import Settings, Telemetry, track_feature

def made():
    return Telemetry(Settings(home=Path(sys.argv[1]), public_host={HOST!r}, server="http://127.0.0.1:9"))

def child_of(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0

def use(times=1):
    for _ in range(times):
        assert track_feature(None, "pos_transaction")
"""
BOOKS = """
import msgspec
telemetry.flush()
print(msgspec.json.encode(telemetry.install.books()).decode())
"""


def books_after(home: Path, program: str) -> dict[str, object]:
    """Run a program in a process of its own; return the books that it prints at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program + BOOKS, str(home)], capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = msgspec.json.decode(done.stdout.splitlines()[-1])
    return found


def stored(number: int) -> dict[str, object]:
    return {"recorded": number, "stored": number, "dropped": {}, "pending": 0}


def test_a_forked_child_writes_its_own_file(tmp_path: Path) -> None:
    """A child forked from a process that recorded and drained opens its own database and spool file; all is stored."""
    program = """
telemetry = made()
use(3)
telemetry.flush()
engine = telemetry.install.engine
def work():
    assert telemetry._install is None and telemetry.pipeline.spool._fd < 0
    use(2)
    telemetry.flush()
    assert telemetry.install.engine is not engine
child_of(work)
use()
assert telemetry.install.engine is engine
"""
    assert books_after(tmp_path, program) == stored(6)


def test_a_fork_with_the_lock_held_elsewhere_hangs_nobody(tmp_path: Path) -> None:
    """Another thread may hold the lock of the telemetry at the moment of the fork: the child has its own."""
    program = """
telemetry = made()
use()
held, done = threading.Event(), threading.Event()
def hold():
    with telemetry._lock:
        held.set()
        done.wait(30)
holder = threading.Thread(target=hold)
holder.start()
held.wait(30)
def work():
    use()
    telemetry.flush()
child_of(work)
done.set()
holder.join()
"""
    assert books_after(tmp_path, program) == stored(2)


def test_a_child_has_its_own_background_thread(tmp_path: Path) -> None:
    """The thread of the parent is not in the child; the child's first record starts one there."""
    program = """
telemetry = made()
use()
def ours():
    return [thread for thread in threading.enumerate() if thread.name == "calos-telemetry"]
assert len(ours()) == 1
def work():
    assert not ours()
    use()
    assert len(ours()) == 1
    telemetry.close()
child_of(work)
"""
    assert books_after(tmp_path, program) == stored(2)


def test_children_of_children_and_many_at_once(tmp_path: Path) -> None:
    """Ten children at once, each with a child of its own, while the parent goes on: nothing is lost or doubled."""
    program = """
telemetry = made()
use(10)
def work():
    use(10)
    child_of(lambda: use(10))
    use(10)
pids = []
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    pids.append(pid)
    use()
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 10
"""
    assert books_after(tmp_path, program) == stored(10 + 10 + 10 * 30)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    """Workers of multiprocessing record, whether they are forked or begin anew from the same module."""
    module = tmp_path / "shop.py"
    module.write_text(
        PRELUDE
        + f"""
def work(home):
    sys.argv[1:] = [home]
    global kept
    kept = made() if {method == "spawn"} else telemetry
    use(5)

if __name__ == "__main__":
    telemetry = made()
    use()
    context = multiprocessing.get_context({method!r})
    workers = [context.Process(target=work, args=(sys.argv[1],)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    import msgspec
    telemetry.flush()
    print(msgspec.json.encode(telemetry.install.books()).decode())
"""
    )
    command = [sys.executable, str(module), str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout.splitlines()[-1]) == stored(16)


def test_the_exit_waits_for_nothing(tmp_path: Path) -> None:
    """A process that ends right after its last record ends at once, without a word, and another process finds the record."""
    ending = (
        PRELUDE
        + """
import atexit, time
telemetry = made()
use(100)
begun = time.monotonic()
atexit.register(lambda: print(time.monotonic() - begun))
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", ending, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) < 1.0
    assert done.stderr == ""
    assert books_after(tmp_path, "telemetry = made()") == stored(100)
