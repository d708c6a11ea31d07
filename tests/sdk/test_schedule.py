"""The background thread: started by the first record, one per process, and never in anybody's way."""

from __future__ import annotations

import gc
import logging
import threading
import weakref

import pytest

from calos_telemetry.sdk.record.own_work import THREAD
from calos_telemetry.sdk.schedule import Job, Schedule

PATIENCE = 20.0


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def test_no_thread_before_the_start_and_one_after_any_number() -> None:
    """A schedule has no thread until it is started, and one daemon thread however often and by whomever it is."""
    worked = threading.Event()
    schedule = Schedule([Job("work", 0.0, worked.set)])
    before = threads()
    callers = [threading.Thread(target=schedule.start) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert worked.wait(PATIENCE)
    (ours,) = set(threads()) - set(before)
    assert ours.daemon
    schedule.stop()
    assert not ours.is_alive()


def test_a_failing_job_is_counted_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A job that fails each time with other words is one line in the log and one entry; the jobs after it are done."""
    rounds: list[int] = []
    enough = threading.Event()

    def fail() -> None:
        raise OSError(f"attempt {len(rounds)}")

    def go_on() -> None:
        rounds.append(len(rounds))
        schedule._wake.set()  # the next round at once
        if len(rounds) == 5:
            schedule._stopped = True
            enough.set()

    schedule = Schedule([Job("fail", 0.0, fail), Job("go on", 0.0, go_on)])
    with caplog.at_level(logging.WARNING, "calos_telemetry"):
        schedule.start()
        assert enough.wait(PATIENCE)
        schedule.stop()
    assert dict(schedule.failures) == {"fail: OSError": 5}
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry could not fail: attempt 0 (the application is not affected)"
    ]


def test_stopping_is_for_good_and_bounded() -> None:
    """A job that hangs delays the stop by the time-out at most, and a stopped schedule does not start again."""
    hanging, release = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        release.wait(PATIENCE)

    schedule = Schedule([Job("hang", 60.0, hang)])
    schedule.start()
    assert hanging.wait(PATIENCE)
    thread = schedule._thread
    schedule.stop(timeout=0.01)
    assert thread is not None
    assert thread.is_alive()
    release.set()
    thread.join(PATIENCE)
    before = threads()
    schedule.start()
    assert threads() == before


def test_a_schedule_that_nobody_holds_is_gone() -> None:
    """Schedules are not kept by hooks: an application that makes many leaks none."""
    schedule = Schedule([])
    gone = weakref.ref(schedule)
    del schedule
    gc.collect()
    assert gone() is None
