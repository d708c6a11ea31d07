"""``calos-telemetry query``: the documented questions on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from calos_telemetry import Settings, Telemetry
from calos_telemetry.cli.main import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALOS_HOME", str(tmp_path))
    return tmp_path


def test_each_question_answers_before_and_after_the_first_event(home: Path) -> None:
    """An empty install says so; afterwards the table and the JSON hold the use that was tracked."""
    for question in ("summary", "features", "errors", "daily"):
        done = CliRunner().invoke(main, ["query", question])
        assert (done.exit_code, done.output) == (0, "nothing yet\n"), done.output
    telemetry = Telemetry(Settings(home=home, public_host="shop.example.com"))
    assert telemetry.track_feature(None, "pos")
    telemetry.flush()
    telemetry.close()
    shown = CliRunner().invoke(main, ["query", "features"]).output
    assert [line.split() for line in shown.splitlines()][1:] == [["pos", "1", "1"]]
    done = CliRunner().invoke(main, ["query", "summary", "7", "--json"])
    (row,) = json.loads(done.output)
    assert (row["feature_name"], row["usage_count"], row["total_requests"]) == ("pos", 1, 0)
    assert CliRunner().invoke(main, ["query", "summary", "0"]).exit_code == 2
