"""The PostgreSQL of the tests itself: it never outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psycopg
import pytest
from tests.postgres import NEEDS, bin_directory

RUNNER = """
import os, sys
from pathlib import Path
from tests.postgres import server
with server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_runner_leaves_no_server(number: int, request: pytest.FixtureRequest) -> None:
    """Whatever signal ends the test runner and its whole process group, the server is gone soon after."""
    binaries = bin_directory()
    if binaries is None:
        pytest.skip(NEEDS)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(binaries)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        cwd=request.config.rootpath,
    )
    assert runner.stdout is not None
    url = runner.stdout.readline().strip()
    with psycopg.connect(url) as connection:
        os.killpg(runner.pid, number)
        runner.communicate()
        with pytest.raises(psycopg.OperationalError):
            _ask_until_it_is_gone(connection)


def _ask_until_it_is_gone(connection: psycopg.Connection) -> None:
    while True:  # ends when the server does; the test's own time-out stands behind it
        connection.execute("SELECT 1")
