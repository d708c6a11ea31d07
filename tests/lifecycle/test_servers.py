"""Every server an application may run under: whatever was answered is stored, once, and nobody waits for us to go.

Each test starts the real server as processes, keeps it busy, ends it, and lets another process drain what is left.
``CALOS_FAULT_ROUNDS`` (``make faults``) scales how often workers are killed; a table at the end says what was seen.
"""

import json
import os
import random
import signal
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from tests.fault_table import ROUNDS, THOROUGH, row
from tests.lifecycle.servers import (
    HOST,
    Account,
    Server,
    account,
    alive,
    environment,
    excusable,
    installed,
    serving,
    wait_until_gone,
)
from tests.lifecycle.visitors import PATIENCE, Visitors

KILLS = max(3, ROUNDS // 3)
pytestmark = pytest.mark.timeout(1_200 if THOROUGH else 120)

GRACE = 2  # seconds a server waits for open connections: uvicorn may overlook one that comes while it stops
_UVICORN = ["uvicorn", "--port", "PORT", "--timeout-graceful-shutdown", f"{GRACE}"]
_GUNICORN = [
    "gunicorn",
    "--bind",
    "127.0.0.1:PORT",
    "--workers",
    "4",
    "--graceful-timeout",
    f"{GRACE}",
    "--no-control-socket",
]
_GRANIAN = ["granian", "--host", "127.0.0.1", "--port", "PORT", "--workers", "2", "--workers-kill-timeout", f"{GRACE}"]
SERVERS = {
    "uvicorn": [*_UVICORN, "shop:asgi"],
    "uvicorn, 2 workers": [*_UVICORN, "--workers", "2", "shop:asgi"],
    "gunicorn sync": [*_GUNICORN, "shop:wsgi"],
    "gunicorn sync, preload": [*_GUNICORN, "--preload", "shop:wsgi"],
    "gunicorn gthread": [*_GUNICORN, "-k", "gthread", "--threads", "4", "shop:wsgi"],
    "gunicorn gevent": [*_GUNICORN, "-k", "gevent", "shop:wsgi"],
    "gunicorn uvicorn-worker": [*_GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "shop:asgi"],
    "gunicorn uvicorn-worker, preload": [*_GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "--preload", "shop:asgi"],
    "granian, asgi": [*_GRANIAN, "--interface", "asgi", "shop:asgi"],
    "granian, wsgi": [*_GRANIAN, "--interface", "wsgi", "shop:wsgi"],
}
STOPPED = (
    tuple(SERVERS)
    if THOROUGH
    else ("uvicorn, 2 workers", "gunicorn sync, preload", "gunicorn gthread", "gunicorn gevent", "granian, asgi")
)
KILLED = [
    "uvicorn, 2 workers",
    "gunicorn gevent",
    "gunicorn sync",
    "gunicorn gthread",
    "gunicorn uvicorn-worker, preload",
][slice(None) if THOROUGH else slice(2, None)]


def assert_balanced(found: Account, features: int = 0, kills: int = 0) -> None:
    """Compare the install's books with the database; nothing may wait after the drain."""
    figures = row("servers, answers seen by visitors")
    figures.events += found.answered
    figures.kills += kills
    figures.twice += found.duplicated
    assert (found.books.pending, found.books.stored) == (0, found.stored + features)


@pytest.mark.parametrize("server", STOPPED)
def test_a_server_told_to_stop_has_stored_what_it_answered(tmp_path: Path, server: str) -> None:
    """SIGTERM under load: what was answered is stored, once, and the server goes as soon as without us."""
    with serving(SERVERS[server], environment(tmp_path / "bare", BARE="1"), tmp_path / "bare.log") as bare:
        with Visitors(bare.port) as visitors:
            visitors.wait_for(50)
        without = bare.end()
    home = tmp_path / "home"
    with (
        serving(SERVERS[server], environment(home), tmp_path / "log") as ours,
        Visitors(ours.port) as visitors,
    ):
        visitors.wait_for(600)
        seconds = ours.end()
    found = account(home, visitors.answered)
    assert not found.lost
    assert found.duplicated == 0
    assert_balanced(found)
    assert seconds < max(without, GRACE) + 1.0, (seconds, without)


@pytest.mark.parametrize("server", KILLED)
def test_a_killed_worker_costs_at_most_what_it_had_in_hand(tmp_path: Path, server: str) -> None:
    """SIGKILL of one worker after another under load: at most the request in flight on each connection is missing."""
    home, chance, killed = tmp_path / "home", random.Random(server), set()  # noqa: S311 - repeatable, not secret
    with serving(SERVERS[server], environment(home), tmp_path / "log") as ours, Visitors(ours.port) as visitors:
        visitors.wait_for(300)
        for _ in range(KILLS):
            victim = chance.choice([pid for pid in visitors.pids() if alive(pid)])
            os.kill(victim, signal.SIGKILL)
            wait_until_gone(victim)
            killed.add(victim)
            visitors.wait_for(chance.randrange(50, 300))
        ours.end()
    found = account(home, visitors.answered)
    assert found.lost <= excusable(visitors.answered, killed)
    assert found.duplicated == 0
    assert_balanced(found, kills=KILLS)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn sync"])
def test_a_server_killed_as_a_whole_loses_nothing_else(tmp_path: Path, server: str) -> None:
    """SIGKILL of all its processes at once: the next drain, by another process, finds all but what was in hand."""
    home = tmp_path / "home"
    with serving(SERVERS[server], environment(home), tmp_path / "log") as ours, Visitors(ours.port) as visitors:
        visitors.wait_for(500)
        family = [*ours.workers(), ours.process.pid]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        ours.process.wait()
    found = account(home, visitors.answered)
    assert found.lost <= excusable(visitors.answered, set(family))
    assert found.duplicated == 0
    assert_balanced(found)


def test_recycled_workers_leave_nothing_behind(tmp_path: Path) -> None:
    """Workers that gunicorn replaces after some requests each (``--max-requests``) have stored what they answered."""
    command = [*_GUNICORN, "--max-requests", "200", "--max-requests-jitter", "50", "shop:wsgi"]
    home = tmp_path / "home"
    with serving(command, environment(home), tmp_path / "log") as ours, Visitors(ours.port) as visitors:
        visitors.wait_for(1_000)
        ours.end()
    assert len({seen.pid for seen in visitors.answered}) > 4
    found = account(home, visitors.answered)
    assert not found.lost
    assert found.duplicated == 0
    assert_balanced(found)


def test_what_was_recorded_before_the_fork_is_there_once(tmp_path: Path) -> None:
    """An application that records while gunicorn loads it (``--preload``) has a thread before the fork: no harm done."""
    home = tmp_path / "home"
    env = environment(home, RECORD_AT_LOAD="1")
    with serving(SERVERS["gunicorn sync, preload"], env, tmp_path / "log") as ours, Visitors(ours.port) as visitors:
        visitors.wait_for(600)
        ours.end()
    found = account(home, visitors.answered)
    assert not found.lost
    assert found.duplicated == 0
    assert_balanced(found, features=1)


def books_of_workers(server: Server, workers: int) -> dict[int, list[int]]:
    """Ask until each worker has told its books; return by process: offered, recorded, dropped, times asked before."""
    told: dict[int, list[int]] = {}
    asked: Counter[int] = Counter()
    deadline = time.monotonic() + PATIENCE
    while len(told) < workers:
        assert time.monotonic() < deadline, told
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/books?n=0", headers={"Host": HOST})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            pid, *figures = json.loads(answer.read())
        told.setdefault(pid, [*figures, asked[pid]])
        asked[pid] += 1
    told[0] = [asked.total()]
    return told


def test_the_books_of_four_workers_say_what_the_visitors_saw(tmp_path: Path) -> None:
    """Live, with everything running: each worker's books hold what it answered, and the install's hold the sum."""
    home = tmp_path / "home"
    with serving(SERVERS["gunicorn sync"], environment(home), tmp_path / "log") as ours:
        with Visitors(ours.port) as visitors:
            visitors.wait_for(600)
        told = books_of_workers(ours, workers=4)
        asked = told.pop(0)[0]
        answered = Counter(seen.pid for seen in visitors.answered)
        for pid, (offered, recorded, dropped, before) in told.items():
            assert (offered, recorded, dropped) == (answered[pid] + before, answered[pid] + before, 0)
        expected, deadline = len(visitors.answered) + asked, time.monotonic() + PATIENCE
        with installed(home) as install:
            while (books := install.books()).recorded < expected:  # the record is made after the answer has gone out
                assert time.monotonic() < deadline, (books, expected)
                time.sleep(0.01)
        assert books.recorded == books.stored + books.pending == expected
        ours.end()
    found = account(home, visitors.answered)
    assert not found.lost
    assert (found.books.stored, found.books.pending) == (len(visitors.answered) + asked, 0)
