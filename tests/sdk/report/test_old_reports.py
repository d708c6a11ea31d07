"""The ledger goes back 400 days: whole days go, and what stays can be checked as before."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from tests.sdk.report.test_ledger import NOW, acknowledged, alone, broken, findings, with_rows

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.sdk.report import ledger as states
from calos_telemetry.sdk.report.ledger import Ledger
from calos_telemetry.store.install_tables import reports
from calos_telemetry.store.old_reports import REPORTS_KEPT_DAYS, drop_old_reports

MIDNIGHT = NOW - NOW % MS_PER_DAY


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine)


def numbers(ledger: Ledger) -> list[int]:
    return [entry.number for entry in ledger.oldest_first()]


def test_whole_days_go_and_the_chain_holds(ledger: Ledger, engine: Engine) -> None:
    """What is older than 400 whole days goes, but for the one whose receipt the oldest that is kept follows."""
    for revision, days in enumerate((900, 402, 401, 400, 399, 1), start=1):
        acknowledged(ledger, revision, MIDNIGHT - days * MS_PER_DAY)
    position = ledger.position()
    assert drop_old_reports(engine, NOW) == 2
    assert numbers(ledger) == [3, 4, 5, 6]
    assert ledger.position() == position
    assert broken(ledger) == []
    assert "report 3: the receipt follows one that was dropped: the ledger goes back 400 days" in [
        finding.sentence for finding in findings(ledger)
    ]
    assert drop_old_reports(engine, NOW) == 0


def test_a_head_that_somebody_cut_off_is_found(ledger: Ledger, engine: Engine) -> None:
    """Only old lines may be missing at the head: young ones are missed."""
    for day in range(4):
        acknowledged(ledger, day + 1, NOW - (4 - day) * MS_PER_DAY)
    with engine.begin() as connection:
        connection.execute(delete(reports).where(reports.c.number < 3))
    assert "reports 1 to 2 are missing" in broken(ledger)


def test_a_report_that_waits_stays(ledger: Ledger, engine: Engine) -> None:
    """What was never answered is still to be sent, however old it is; numbers and position go on as before."""
    old = NOW - 500 * MS_PER_DAY
    waiting = ledger.seal(with_rows(7), old)
    ledger.seal(alone, old)
    ledger.close(ledger.seal(alone, old), states.ACKNOWLEDGED, old, "license verified")
    drop_old_reports(engine, NOW)
    assert ledger.pending()[0] == waiting
    assert numbers(ledger) == [1, 2, 3]


def test_a_line_from_the_future_stops_nothing(ledger: Ledger, engine: Engine) -> None:
    """A report sealed while the clock was years ahead does not keep the old ones for years."""
    acknowledged(ledger, 1, NOW - 500 * MS_PER_DAY)
    acknowledged(ledger, 2, NOW + 3_000 * MS_PER_DAY)
    acknowledged(ledger, 3, NOW)
    assert drop_old_reports(engine, NOW) == 1
    assert numbers(ledger) == [2, 3]
    assert broken(ledger) == []


steps = st.tuples(st.sampled_from(("report", "check", "unanswered")), st.integers(0, 90))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=st.lists(steps, min_size=1, max_size=25))
def test_no_history_is_broken_by_dropping(engine: Engine, walk: list[tuple[str, int]]) -> None:
    """Whatever was sealed when, answered or not: a night's dropping changes neither the position nor what the check finds,
    and leaves of the old lines at most two and those that wait."""
    with engine.begin() as connection:
        connection.execute(delete(reports))
    ledger, now = Ledger(engine), MIDNIGHT
    for revision, (what, days) in enumerate(walk, start=1):
        now += days * MS_PER_DAY
        if what == "report":
            acknowledged(ledger, revision, now)
        else:
            entry = ledger.seal(alone if what == "check" else with_rows(revision), now)
            ledger.attempted(entry, now, "no answer")
            ledger.withdraw(entry, "something else takes its place")
        before = ledger.position()
        drop_old_reports(engine, now)
        assert ledger.position() == before
        assert broken(ledger, now) == []
        old = [entry for entry in ledger.oldest_first() if entry.sealed_at < now - REPORTS_KEPT_DAYS * MS_PER_DAY]
        assert len(old) <= 2
