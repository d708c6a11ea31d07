"""Programs that fork, spawn, or end a moment after they began: everything is there once, and nobody waits or crashes."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.fault_table import ROUNDS, THOROUGH
from tests.lifecycle.servers import HERE, drained, environment

pytestmark = pytest.mark.timeout(1_200 if THOROUGH else 120)
SCRIPT = """
import os, sys, time
from calos_telemetry import Telemetry, track_feature
telemetry = Telemetry()
for _ in range(50):
    track_feature(None, "used")
time.sleep(float(sys.argv[1]))
{end}
"""
ENDS = {
    "its last line": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise LookupError", 1),
    "os._exit": ("os._exit(4)", 4),
    "SIGKILL": ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
}


def stored(home: Path) -> int:
    """Return how many events the database has after a drain by this process; the books agree, and none is there twice."""
    _, books = drained(home)
    with sqlite3.connect(home / "telemetry.db") as database:
        (number,) = database.execute("SELECT count(*) FROM telemetry_events").fetchone()
    database.close()
    assert (books.stored, books.pending, books.recorded) == (number, 0, number)
    return int(number)


@pytest.mark.parametrize("end", ENDS)
def test_a_short_script_keeps_what_it_recorded(tmp_path: Path, end: str) -> None:
    """A script that records and ends, at any moment of our background work: its own exit code, within a second, all stored."""
    line, code = ENDS[end]
    chance, home = random.Random(end), tmp_path / "home"  # noqa: S311 - repeatable, not secret
    rounds = max(2, ROUNDS // 4)
    for _ in range(rounds):
        pause = chance.choice([0.0, chance.random() / 4, 1 + chance.random()])
        program = [sys.executable, "-c", SCRIPT.format(end=line), str(pause)]
        began = time.monotonic()
        done = subprocess.run(program, env=environment(home), capture_output=True, check=False, timeout=60)
        assert done.returncode == code, done.stderr.decode()
        assert b"Fatal" not in done.stderr
        assert time.monotonic() - began < 10
    assert stored(home) >= rounds * 50


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_a_process_that_is_draining(tmp_path: Path, method: str) -> None:
    """Children made while the background thread is importing, migrating or draining: none hangs, each drains, all is there once."""
    home, children = tmp_path / "home", 20 * (1 + THOROUGH) if method == "fork" else 3
    program = [sys.executable, str(HERE / "family.py"), method, str(children)]
    env = environment(home, CALOS_DRAIN_SECONDS="0.05")
    done = subprocess.run(program, env=env, capture_output=True, check=False, timeout=600)
    assert done.stdout.decode() == f"{[0] * children}\n[]\n", done.stderr.decode()
    chance = random.Random(children)  # noqa: S311 - as the program draws them
    assert stored(home) == sum(chance.randrange(3_000) for _ in range(children)) + 100 * children


JOB = """
import sys, time
from calos_telemetry.sdk.schedule import Job, Schedule
def work():
    sys.stdout.write("begun ")
    sys.stdout.flush()
    time.sleep(float(sys.argv[1]))
    sys.stdout.write("done")
    sys.stdout.flush()
schedule = Schedule([Job("work", 60.0, work)])
schedule.start()
while schedule._jobs[0].due < time.monotonic():
    time.sleep(0.001)
"""


@pytest.mark.parametrize(("seconds", "said"), [(0.3, b"begun done"), (60.0, b"begun ")])
def test_the_end_waits_for_the_work_at_hand_but_not_for_long(seconds: float, said: bytes) -> None:
    """At exit the thread finishes what it is doing, lest it be cut off in compiled code; for less than a second."""
    began = time.monotonic()
    program = [sys.executable, "-c", JOB, str(seconds)]
    done = subprocess.run(program, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, b"")
    assert time.monotonic() - began < 10
