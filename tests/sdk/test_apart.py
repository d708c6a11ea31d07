"""A large drain in a process of its own: exactly once, whatever becomes of it, and without it where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calos_telemetry import Settings, Telemetry
from calos_telemetry.contract.events import FeatureUsage, to_record
from calos_telemetry.errors import StoreError
from calos_telemetry.sdk import apart, telemetry
from calos_telemetry.sdk.apart import DrainApart
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record.spool import DrainLock, Spool

AT = 1_764_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", public_host="shop.example.com", server="http://127.0.0.1:9")


@pytest.fixture
def drain(settings: Settings) -> Iterator[DrainApart]:
    made = DrainApart(settings)
    yield made
    made.end()


def spool(settings: Settings, number: int) -> None:
    """Leave the spool of a process that is gone."""
    (settings.home / "spool").mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    writer = Spool(settings.home / "spool")
    for n in range(number):
        assert writer.append(to_record(AT + n, FeatureUsage(feature="pos")))
    writer.close()


def books(settings: Settings) -> tuple[int, int]:
    """Return how many events are stored and how many wait."""
    install = Install(settings)
    found = install.books()
    install.close()
    return found.stored, found.pending


def collected(drain: DrainApart) -> bool:
    """Wait for the process to end."""
    while (elected := drain.collect()) is None:
        time.sleep(0.02)
    return elected


def test_a_backlog_is_drained_by_another_process(settings: Settings, drain: DrainApart) -> None:
    """All that waits is stored once; the process leaves neither a zombie nor anything to collect again."""
    spool(settings, 3_000)
    assert drain.start()
    assert drain._child is not None
    pid = drain._child.pid
    assert collected(drain)
    assert books(settings) == (3_000, 0)
    assert not drain.running
    assert drain.collect() is None
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_settings_given_in_code_reach_it(settings: Settings, postgres_url: str) -> None:
    """Nothing of them is read from the environment: a PostgreSQL and a schema named in code are used, by no argument."""
    elsewhere = replace(settings, database_url=postgres_url, database_schema="apart", events_per_day=10)
    spool(elsewhere, 50)
    drain = DrainApart(elsewhere)
    assert drain.start()
    child = drain._child
    assert child is not None
    command = Path(f"/proc/{child.pid}/cmdline").read_bytes() if Path("/proc/self/cmdline").exists() else b""
    assert postgres_url.encode() not in command
    assert collected(drain)
    assert books(elsewhere) == (50, 0)
    assert not (elsewhere.home / "telemetry.db").exists()


def test_a_killed_one_loses_nothing(settings: Settings, drain: DrainApart) -> None:
    """`kill -9` of the process: its failure is told, it is not tried again, and the thread finds everything."""
    spool(settings, 500)
    assert drain.start()
    assert drain._child is not None
    drain._child.send_signal(signal.SIGKILL)
    with pytest.raises(StoreError, match="without a word"):
        collected(drain)
    assert not drain.start()
    install = Install(settings)
    install.drain()
    install.close()
    assert books(settings) == (500, 0)


def test_one_that_hangs_is_ended(settings: Settings, drain: DrainApart, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its deadline the process is killed, for the next drain to go on."""
    monkeypatch.setattr(apart, "_BEGIN", "import time; time.sleep(600)")
    settings.home.mkdir(mode=0o700)
    assert drain.start()
    assert drain.collect() is None
    drain._deadline = time.monotonic() - 1
    with pytest.raises(StoreError, match="without a word"):
        drain.collect()
    assert not drain.running


def test_another_drain_at_the_same_time_is_respected(settings: Settings, drain: DrainApart) -> None:
    """While another process drains, this one says that it was not elected."""
    spool(settings, 10)
    with DrainLock(settings.home / "spool", timeout=0.0) as elected:
        assert elected
        assert drain.start()
        assert collected(drain) is False


def test_a_problem_is_told_in_words(settings: Settings, drain: DrainApart) -> None:
    """A database that cannot be used ends in its own sentence, and the next time is tried again."""
    spool(settings, 10)
    (settings.home / "telemetry.db").mkdir()
    assert drain.start()
    with pytest.raises(StoreError, match=r"telemetry\.db"):
        collected(drain)
    (settings.home / "telemetry.db").rmdir()
    assert drain.start()
    assert collected(drain)


@pytest.mark.parametrize("executable", ["", "/usr/sbin/uwsgi", "/opt/shop/shop", None])
def test_without_a_python_there_is_none(
    settings: Settings, executable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embedded interpreters and frozen programs are not started again: who knows what they would do."""
    monkeypatch.setattr(sys, "executable", executable)
    assert not DrainApart(settings).start()


def test_without_processes_the_thread_drains(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no process, the application's own thread drains the backlog, as it would a little."""
    spool(settings, 100)
    monkeypatch.setattr(telemetry, "LARGE_BYTES", 1)
    monkeypatch.setattr(subprocess, "Popen", _refuse)
    made = Telemetry(settings)
    made._drain()
    made.close()
    assert books(settings) == (100, 0)
    assert not made.failures


def _refuse(*_: object, **__: object) -> None:
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_the_schedule_drains_apart_and_counts_it(settings: Settings) -> None:
    """A backlog at the start goes to a process; while it runs no second one begins; then this process is all drained."""
    spool(settings, 40_000)
    made = Telemetry(settings)
    assert made.track_feature(None, "pos_transaction")
    made._schedule.stop()
    made._drain()
    drain = made._apart
    assert drain is not None
    assert drain.running
    child = drain._child
    made._drain()
    assert drain._child is child
    while drain.running:
        made._look_after_drain()
    assert made._drained == 1
    made.close()
    assert books(settings) == (40_001, 0)


def test_one_process_is_enough_for_all_workers(settings: Settings, drain: DrainApart) -> None:
    """Of many workers with the same backlog one starts a process; when it has ended the next one may."""
    spool(settings, 3_000)
    others = [DrainApart(settings) for _ in range(3)]
    assert drain.start()
    assert [other.start() for other in others] == [True] * 3
    assert [other.running for other in others] == [False] * 3
    assert collected(drain)
    assert others[0].start()
    assert others[0].running
    assert collected(others[0])


def test_a_directory_that_is_gone_stops_nothing(settings: Settings, tmp_path: Path) -> None:
    """Where the application's current directory was removed, a backlog is drained all the same."""
    spool(settings, 300)
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"""
import os, sys, time
from pathlib import Path
from calos_telemetry import Settings
from calos_telemetry.sdk.apart import DrainApart
assert "" in sys.path
os.rmdir(os.getcwd())
drain = DrainApart(Settings(home=Path({str(settings.home)!r}), server="http://127.0.0.1:9"))
assert drain.start()
while (done := drain.collect()) is None:
    time.sleep(0.02)
assert done
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=gone, timeout=60)
    assert books(settings) == (300, 0)


WITHOUT_STREAMS = """
import os, sys, time
from pathlib import Path
from calos_telemetry import Settings
from calos_telemetry.sdk.apart import DrainApart
settings = Settings(home=Path(sys.argv[1]), server="http://127.0.0.1:9")
os.closerange(0, 3)
drain, other = DrainApart(settings), DrainApart(settings)
started = drain.start() and other.start() and not other.running
while (elected := drain.collect()) is None:
    time.sleep(0.02)
os._exit(0 if started and elected else 1)
"""


def test_without_standard_streams_there_is_still_one_process(settings: Settings) -> None:
    """A daemon whose standard streams are closed starts one process, not one per worker: the lock goes along with it."""
    spool(settings, 3_000)
    subprocess.run([sys.executable, "-c", WITHOUT_STREAMS, str(settings.home)], check=True, timeout=60)
    assert books(settings) == (3_000, 0)


def test_whatever_is_on_the_path_does_not_matter(
    settings: Settings, drain: DrainApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applications put ``Path`` objects on ``sys.path``, which Python ignores: a backlog is drained all the same."""
    spool(settings, 10)
    monkeypatch.setattr(sys, "path", [Path("/opt/shop"), b"/opt/old", *sys.path])
    assert drain.start()
    assert collected(drain)


def test_children_of_nobody_are_collected_too(settings: Settings, drain: DrainApart) -> None:
    """Where the application lets the system reap its children (SIGCHLD ignored), the end is noticed and told all the same."""
    spool(settings, 10)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert drain.start()
        assert collected(drain)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert books(settings) == (10, 0)


def test_a_worker_forked_meanwhile_does_not_hold_up_the_answer(
    settings: Settings, drain: DrainApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker forked while the process is started waits until it is: it would keep the pipe of the answer open."""
    settings.home.mkdir(mode=0o700)
    starting, forked = threading.Event(), threading.Event()
    alone: list[bool] = []
    popen = subprocess.Popen

    def start_slowly(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        starting.set()
        alone.append(not forked.wait(0.3))
        return popen(*args, **kwargs)

    def fork() -> None:
        starting.wait()
        child = os.fork()
        if child == 0:
            os._exit(0)
        forked.set()
        os.waitpid(child, 0)

    monkeypatch.setattr(subprocess, "Popen", start_slowly)
    worker = threading.Thread(target=fork)
    worker.start()
    assert drain.start()
    worker.join()
    assert alone == [True]
    assert collected(drain)


def test_secrets_are_in_no_list_of_processes(settings: Settings) -> None:
    """Nothing of the settings is among the arguments or in the environment of the process."""
    settings.home.mkdir(mode=0o700)
    secret = replace(settings, license_key="k-5f1c", operator_token="t-93ab \udcff \n'\"")
    drain = DrainApart(secret)
    assert drain.start()
    assert drain._child is not None
    process = Path(f"/proc/{drain._child.pid}")
    if process.exists():
        shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert b"k-5f1c" not in shown
        assert b"t-93ab" not in shown
    assert collected(drain)


def test_a_lock_that_cannot_be_used_leaves_it_to_the_thread(settings: Settings, drain: DrainApart) -> None:
    """A lock file that is a link to elsewhere is not followed: no process is started."""
    settings.home.mkdir(mode=0o700)
    (settings.home / "apart.lock").symlink_to("/nowhere/else")
    assert not drain.start()
    assert not drain.running


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys, time
from pathlib import Path
from calos_telemetry import Settings, Telemetry
telemetry = Telemetry(Settings(home=Path(sys.argv[1]), public_host="shop.example.com", server="http://127.0.0.1:9"))
for _ in range(50):
    assert telemetry.track_feature(None, "pos_transaction")
while telemetry._drained < 50:
    time.sleep(0.01)
assert not telemetry.failures, telemetry.failures
assert not telemetry.troubles(), telemetry.troubles()
assert "sqlalchemy" not in sys.modules
"""


def test_under_gevent_no_database_is_touched_by_the_application(settings: Settings) -> None:
    """Greenlets share one thread: drain, verification and cleaning are another process's work, however little it is."""
    subprocess.run([sys.executable, "-c", GREENLETS, str(settings.home)], check=True, timeout=60)
    install = Install(settings)
    assert install.upkeep._last() is not None
    install.close()
    assert books(settings) == (50, 0)


def test_a_forked_process_leaves_it_alone(settings: Settings, drain: DrainApart) -> None:
    """A fork inherits nothing of it, and may begin its own."""
    spool(settings, 10)
    assert drain.start()
    child = os.fork()
    if child == 0:
        drain.forget()
        os._exit(0 if not drain.running and drain._possible else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert collected(drain)


LEAVES = """
import os, sys, time
from pathlib import Path
from calos_telemetry import Settings
from calos_telemetry.sdk.apart import DrainApart
drain = DrainApart(Settings(home=Path(sys.argv[1]), server="http://127.0.0.1:9"))
assert drain.start()
print(drain._child.pid)
if child := os.fork():
    os.waitpid(child, 0)
else:
    drain.forget()
"""


def test_an_application_that_ends_hears_no_warning(settings: Settings) -> None:
    """With ``python -W error`` neither the application nor a fork of it says a word about the process it leaves behind."""
    spool(settings, 10)
    command = [sys.executable, "-W", "error", "-c", LEAVES, str(settings.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    while _alive(int(done.stdout.split()[0])):
        time.sleep(0.05)
    assert books(settings) == (10, 0)


def test_the_application_exits_at_once_beside_it(settings: Settings, tmp_path: Path) -> None:
    """An application that ends while its backlog is drained ends within the second, and nothing is lost or doubled."""
    spool(settings, 40_000)
    script = tmp_path / "shop.py"
    script.write_text(
        textwrap.dedent(f"""
        import time
        from pathlib import Path
        from calos_telemetry import Settings, Telemetry
        telemetry = Telemetry(Settings(home=Path({str(settings.home)!r}), public_host="shop.example.com",
                                       server="http://127.0.0.1:9", drain_seconds=0.1))
        telemetry.track_feature(None, "pos_transaction")
        while telemetry._apart._child is None:
            time.sleep(0.01)
        print(telemetry._apart._child.pid, flush=True)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    pid = int(done.stdout)
    while _alive(pid):
        time.sleep(0.05)
    install = Install(settings)
    install.drain()
    install.close()
    assert books(settings) == (40_001, 0)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
