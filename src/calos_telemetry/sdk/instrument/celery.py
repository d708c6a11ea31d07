"""Celery: every run of a task is a transaction by the task's name, and where it is said, the use of a feature.

Call :func:`instrument_celery` where the application is made; workers of every pool, prefork included, inherit it.  Arguments
and results of tasks are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from celery import signals  # type: ignore[import-untyped]

from calos_telemetry.sdk.record.facts import current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

_MOST_RUNNING = 10_000
_UID = "calos_telemetry"
_RETRY = "RETRY"


def instrument_celery(telemetry: Telemetry, *, features: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Record the tasks of this process and of the workers it forks, once however often this is called; return what ends it.

    ``features`` maps a prefix of a task's name to the feature behind it: ``{"shop.tasks.mail_": "newsletter"}``.
    """
    tasks = _Tasks(telemetry, features or {})
    receivers = (
        (signals.task_prerun, tasks.begin),
        (signals.task_failure, tasks.failed),
        (signals.task_retry, tasks.retried),
        (signals.task_postrun, tasks.finish),
        (signals.worker_process_shutdown, tasks.leave),
        (signals.worker_shutdown, tasks.leave),
    )
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False, dispatch_uid=_UID)

    def end() -> None:
        for signal, receiver in receivers:
            signal.disconnect(receiver, dispatch_uid=_UID)

    return end


class _Run:
    """A task that runs: since when, and what it failed of."""

    __slots__ = ("failure", "started")

    def __init__(self) -> None:
        self.started = perf_counter_ns()
        self.failure: BaseException | str | None = None


class _Tasks:
    """The tasks that run in this process, by their id."""

    def __init__(self, telemetry: Telemetry, features: Mapping[str, str]) -> None:
        self._telemetry = telemetry
        self._features = sorted(features.items(), key=lambda item: -len(item[0]))
        self._running: dict[str, _Run] = {}

    def begin(self, task_id: str = "", **_others: Any) -> None:
        """Note that a task begins."""
        if len(self._running) < _MOST_RUNNING:
            self._running[task_id] = _Run()

    def failed(self, task_id: str = "", exception: object = None, **_others: Any) -> None:
        """Record the exception that ended a task."""
        error = exception if isinstance(exception, Exception) else None
        self._blame(task_id, error or "other")
        if error is not None:
            self._telemetry.track_error(current.get(), error)

    def retried(self, request: Any = None, reason: object = None, **_others: Any) -> None:
        """Note that a run of a task failed and another one follows; only the last failure is an error."""
        cause = getattr(reason, "exc", None) or reason
        self._blame(getattr(request, "id", ""), cause if isinstance(cause, BaseException) else "other")

    def _blame(self, task_id: str, failure: BaseException | str) -> None:
        run = self._running.get(task_id)
        if run is not None:
            run.failure = failure

    def finish(self, task_id: str = "", task: Any = None, state: str | None = None, **_others: Any) -> None:
        """Record a task that ended."""
        run = self._running.pop(task_id, None)
        if run is None:
            return
        duration_us = (perf_counter_ns() - run.started) // 1_000
        name, facts, failure = getattr(task, "name", "") or "", current.get(), run.failure
        self._telemetry.attempt(lambda pipeline: pipeline.transaction(name, duration_us, facts, failure))
        feature = next((feature for prefix, feature in self._features if name.startswith(prefix)), None)
        if feature is not None and state != _RETRY:
            self._telemetry.track_feature(facts, feature)

    def leave(self, **_others: Any) -> None:
        """Write down what is only in memory: the processes of a pool end without Python's own goodbye."""
        pipeline = self._telemetry.pipeline
        if pipeline is not None:
            pipeline.write_queries()
