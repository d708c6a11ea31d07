"""All periodic work of an install in one table, on one background thread per process.

The thread starts with the first record, not at import and not at start-up, so that a server that forks its workers
after loading the application (gunicorn ``--preload``) has a thread in each worker.  It is a daemon: nothing to call at
shutdown, and nothing lost by it, because every record is safe the moment it is spooled.

At the end of the process the thread is asked to end, and waited for, for less than a second: one that the interpreter
has to cut off in the midst of compiled code (an import, a signature) can take the whole process with it ("FATAL:
exception not rethrown").  It begins its work a second after the first record, so that a short script has no part in it.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakSet

from calos_telemetry.sdk.record.own_work import THREAD

__all__ = ["THREAD", "Job", "Schedule"]

_LOG = logging.getLogger("calos_telemetry")
_TICK = 1.0
_EXIT_PATIENCE = 0.8


@dataclass(slots=True)
class Job:
    """One piece of periodic work: what it is, how often (seconds), and when it is due next (monotonic seconds)."""

    name: str
    every: float
    work: Callable[[], object]
    due: float = field(default_factory=time.monotonic)


class Schedule:
    """Runs jobs one after the other; a failing job is logged once per reason, counted, and tried again when due."""

    def __init__(self, jobs: list[Job]) -> None:
        self.failures: Counter[str] = Counter()
        self._jobs = jobs
        self.begin_process()
        _living.add(self)

    def begin_process(self) -> None:
        """Begin without a thread: in a new process, and in a forked one, which inherits none."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the thread if this process has none yet; where the system gives none, the next call tries again."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._stopped:
                    self._thread = self._begin_thread()

    def _begin_thread(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:  # at the limit of threads, or while the interpreter shuts down
            self._count("start its thread", error)
            return None
        return thread

    def stop(self, timeout: float = 1.0) -> None:
        """Ask the thread to end and wait at most ``timeout`` seconds for it."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        wake = self._wake
        while not self._stopped:
            wake.wait(_TICK)
            for job in self._jobs:
                if not self._stopped and time.monotonic() >= job.due:
                    job.due = time.monotonic() + job.every
                    self._do(job)

    def _do(self, job: Job) -> None:
        try:
            job.work()
        except Exception as error:  # noqa: BLE001 - the boundary of the background: counted, shown, tried again
            self._count(job.name, error)

    def _count(self, what: str, error: Exception) -> None:
        reason = f"{what}: {type(error).__name__}"
        if reason not in self.failures:
            _LOG.warning("telemetry could not %s: %s (the application is not affected)", what, error)
        self.failures[reason] += 1


_living: WeakSet[Schedule] = WeakSet()


@atexit.register
def _stop_at_exit() -> None:
    deadline = time.monotonic() + _EXIT_PATIENCE
    for schedule in tuple(_living):
        schedule.stop(max(0.0, deadline - time.monotonic()))
