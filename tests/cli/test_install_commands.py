"""status, summary, flush, verify and report: what they print, in words and as JSON, beside a running application."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from calos_telemetry import Telemetry
from calos_telemetry.sdk.record.spool import DrainLock
from calos_telemetry.store.database import writing

from .conftest import Operator


def test_status_says_what_is_collected_and_that_the_books_balance(operator: Operator, running: Telemetry) -> None:
    """In words and as JSON: install, home, policy, tier, license, and the balance, before and after a flush."""
    printed = operator.run("status")
    assert "3 recorded = 0 stored + 0 dropped + 3 pending" in printed
    assert "on: telemetry is required for the community tier" in printed
    running.flush()
    found = operator.json("status")
    assert found["books"] == {"recorded": 3, "stored": 3, "dropped": {}, "pending": 0}
    assert (found["home"], found["tier"], found["hint"]) == (str(operator.home), "community", None)
    assert found["install"] == (operator.home / "install_id").read_text()


def test_status_tells_the_processes_and_the_reasons(operator: Operator, running: Telemetry) -> None:
    """What each process has yet to hand over, and why events were given up, with their numbers."""
    assert running.pipeline is not None
    assert not running.pipeline.spool.append(bytes(70_000))
    running.flush()
    running.track_feature(None, "pos_transaction")
    printed = operator.run("status")
    assert "1 dropped (1 oversize)" in printed
    assert f"process  {os.getpid()}: 1 of its events are pending" in printed
    found = operator.json("status")
    assert found["processes"] == [{"pid": os.getpid(), "alive": True, "events": 1}]
    assert found["books"]["dropped"] == {"oversize": 1}


def test_status_of_a_new_install_asks_whether_it_is_the_right_one(operator: Operator) -> None:
    """Where nothing was ever recorded, a wrong CALOS_HOME is the likely reason, and it says so."""
    assert "CALOS_HOME is not the one" in operator.run("status")


def test_status_shows_a_switch_without_effect(operator: Operator) -> None:
    """TELEMETRY_DISABLED without an Enterprise license is shown to have none, with the reason."""
    assert "TELEMETRY_DISABLED=true has no effect" in operator.run("status", TELEMETRY_DISABLED="true")


def test_status_shows_a_damaged_license_key(operator: Operator) -> None:
    """A key that proves nothing is told in words; the tier is community."""
    printed = operator.run("status", CALOS_LICENSE_KEY=str(operator.home / "license.key"))
    assert "tier     community" in printed
    assert "CALOS_LICENSE_KEY" in printed


def test_flush_moves_what_the_application_recorded(operator: Operator, running: Telemetry) -> None:
    """Beside a running application the command moves its events; the application goes on recording."""
    assert operator.run("flush") == "3 events moved into the database\n"
    assert running.track_feature(None, "pos_transaction")
    assert operator.json("flush") == {"success": True, "events": 1}
    assert operator.json("flush") == {"success": True, "events": 0}


def test_flush_says_when_another_process_is_at_it(
    operator: Operator, running: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody else drains for longer than it waits, the command ends with exit code 1, and nothing is lost."""
    from click.testing import CliRunner  # noqa: PLC0415 - in this process only here, to shorten the patience

    from calos_telemetry.cli import flush  # noqa: PLC0415

    monkeypatch.setattr(flush, "_PATIENCE", 0.0)
    monkeypatch.setenv("CALOS_HOME", str(operator.home))
    with DrainLock(operator.home / "spool") as elected:
        assert elected
        done = CliRunner().invoke(flush.flush)
    assert done.exit_code == 1
    assert running.flush() == 3


def test_summary_prints_what_the_api_answers(operator: Operator, running: Telemetry) -> None:
    """The JSON is that of GET /api/telemetry/summary; the words carry the same numbers."""
    running.flush()
    assert operator.json("summary") == {"success": True, "summary": running.summary(24)}
    printed = operator.run("summary", "--hours", "168")
    assert "Last 168h: 3 uses of features" in printed
    assert "pos_transaction      3" in printed
    assert "failures: 0" in printed
    assert "Most frequent failures" not in printed


@pytest.mark.parametrize("hours", ["0", "-1", "1000000000"])
def test_a_window_that_makes_no_sense_is_one_sentence(operator: Operator, hours: str) -> None:
    """Hours outside of what makes sense are refused with the range."""
    assert "give a whole number from 1 to" in operator.complaint("summary", "--hours", hours)


def test_verify_without_a_vendor_says_what_is_missing(operator: Operator) -> None:
    """Without a vendor's key nothing is sent, and the exit code is 1; as JSON, too."""
    assert "nothing is lost" in operator.complaint("verify")
    operator.run("verify", "--json", code=1)


def test_reports_of_an_install_that_sent_none(operator: Operator) -> None:
    """List and check say that there is nothing yet; a number that does not exist is one sentence."""
    assert "no report has been made yet" in operator.run("report", "list")
    assert operator.json("report", "list") == []
    assert "there is no report 7" in operator.complaint("report", "show", "7")
    assert "no receipt for report 7" in operator.complaint("report", "evidence", "7", "--to", str(operator.home))
    assert "CALOS_VENDOR_KEY" in operator.complaint("report", "check")


def test_the_next_report_is_shown_and_stays_here(operator: Operator, running: Telemetry) -> None:
    """As bytes of JSON, indented, and with what is known about it; the ledger is as empty as before."""
    running.flush()
    shown = json.loads(operator.run("report", "next"))
    pretty = operator.run("report", "next", "--pretty")
    described = operator.json("report", "next")
    for content in (shown, json.loads(pretty), described["content"]):
        assert [row["feature"] for row in content["telemetry"]["features"]] == ["pos_transaction"]
    assert pretty.startswith('{\n  "v": 1,')
    assert (described["number"], described["state"], described["rows"]) == (1, "sealed", described["rows"])
    assert described["rows"] > 0
    assert operator.json("report", "list") == []


@pytest.mark.parametrize("command", [("status",), ("flush",), ("summary",), ("query", "features"), ("cleanup",)])
def test_a_database_that_fails_is_one_sentence(
    operator: Operator, running: Telemetry, command: tuple[str, ...]
) -> None:
    """Tables that somebody has renamed end a command with what to do, not with a traceback."""
    with writing(running.install.engine) as connection:
        for name in ("telemetry_books", "telemetry_features", "telemetry_event_parts", "telemetry_performance"):
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO their_{name}")
    said = operator.complaint(*command)
    assert "the tables in it are not those of this version: restore a backup" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a directory from itself")
def test_a_disk_that_refuses_is_one_sentence(operator: Operator, tmp_path: Path) -> None:
    """A home below /proc, where not even root can make a directory, is named."""
    del tmp_path
    assert "/proc/nothing" in operator.complaint("status", CALOS_HOME="/proc/nothing/home")


def test_the_policy_is_explained(operator: Operator, running: Telemetry) -> None:
    """What is collected, sent, when, to whom and why, and what the file takes away; as text and as JSON."""
    del running
    (operator.home / "policy.toml").write_text(
        'review_hours = 24\n[drop]\nroutes = ["/internal/*"]\nerror_texts = true\n'
    )
    text = operator.run("policy", "explain")
    assert "routes: /internal/*" in text
    assert "fields: message, stack" in text
    assert "a report waits 24 hours" in text
    assert "every 24 hours" in text
    told = operator.json("policy", "explain")
    assert {one["topic"] for one in told["told"]} == {"collected", "why", "sent", "when", "to whom", "taken away"}
    assert told["file"] == str(operator.home / "policy.toml")


def test_a_broken_policy_file_is_told_and_stops_nothing(operator: Operator, running: Telemetry) -> None:
    """Status and explanation say which word is wrong; every command goes on."""
    del running
    (operator.home / "policy.toml").write_text("[drop]\nroute = ['/a']\n")
    for command in (("status",), ("policy", "explain")):
        assert "did you mean 'routes'?" in operator.run(*command)


def test_a_veto_without_the_right_or_the_report_is_one_sentence(operator: Operator, running: Telemetry) -> None:
    """Community may read, not veto; and without a report there is no difference to tell."""
    del running
    assert "Enterprise" in operator.complaint("report", "veto", "1")
    assert "no acknowledged report" in operator.run("report", "difference")
    assert operator.json("report", "difference")["since"] is None
