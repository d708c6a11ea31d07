"""An install with something in it, and the command line as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calos_telemetry import Settings, Telemetry

COMMAND = str(Path(sys.executable).with_name("calos-telemetry"))
HOST = "shop.example.com"


class Operator:
    """Somebody at the command line of one install."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
        self.env = {
            **clean,
            "CALOS_HOME": str(home),
            "CALOS_PUBLIC_HOST": HOST,
            "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
            "NO_COLOR": "1",
        }

    def run(self, *arguments: str, code: int = 0, stdin: str = "", **env: str) -> str:
        """Run a command; return what it printed, of one that fails what it said on stderr: one sentence, no traceback."""
        done = subprocess.run(
            [COMMAND, *arguments], env=self.env | env, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def complaint(self, *arguments: str, **env: str) -> str:
        """Return the sentence with which a command refuses."""
        lines = self.run(*arguments, code=1, **env).strip().split("\n")
        assert len(lines) == 1
        assert lines[0].startswith("Error: ")
        return lines[0]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Return the operator of an install that does not exist yet."""
    return Operator(tmp_path / "home")


@pytest.fixture
def running(operator: Operator) -> Iterator[Telemetry]:
    """Return an application that runs on the operator's install, in this process, and has recorded three uses."""
    telemetry = Telemetry(Settings(home=operator.home, public_host=HOST, server="http://127.0.0.1:9"))
    telemetry._schedule.stop()
    for _ in range(3):
        telemetry.track_feature(None, "pos_transaction", {"status": "completed"})
    yield telemetry
    telemetry.close()
    assert not telemetry.failures
