"""Django's databases: every query is counted by operation and table, with the time it took, in all connections.

Call :func:`instrument_django` once, in an ``AppConfig.ready``.  The statement and its parameters are never kept.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.backends.signals import connection_created

from calos_telemetry.sdk.instrument.statements import series_of
from calos_telemetry.sdk.record.facts import current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

_UID = "calos_telemetry"


def instrument_django(telemetry: Telemetry, *, slow_ms: float | None = None) -> Callable[[], None]:
    """Measure the queries of every connection, open or yet to come; return what ends it.

    ``slow_ms`` is from where on a query counts as slow (200 at first).
    """
    pipeline = telemetry.pipeline
    if pipeline is None:
        return lambda: None
    if slow_ms is not None:
        pipeline.tally.slow_us = int(slow_ms * 1_000)
    timed = _Timed(telemetry)

    def created(connection: Any, **_others: Any) -> None:
        timed.wrap(connection)

    for connection in connections.all(initialized_only=True):
        timed.wrap(connection)
    connection_created.connect(created, weak=False, dispatch_uid=_UID)
    pipeline.tally.sources.add("django")

    def end() -> None:
        connection_created.disconnect(dispatch_uid=_UID)
        pipeline.tally.sources.discard("django")
        for connection in connections.all(initialized_only=True):
            connection.execute_wrappers[:] = [each for each in connection.execute_wrappers if each is not timed]

    return end


class _Timed:
    """Django's execute wrapper: runs the query and counts it, whether it succeeds or not."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def wrap(self, connection: Any) -> None:
        """Put it around a connection's queries, once; innermost, so that a ``with execute_wrapper`` takes out its own."""
        if not any(isinstance(each, _Timed) for each in connection.execute_wrappers):
            connection.execute_wrappers.insert(0, self)

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Run one query."""
        started = perf_counter_ns()
        try:
            return execute(sql, params, many, context)
        finally:
            self._count(sql, (perf_counter_ns() - started) // 1_000)

    def _count(self, sql: Any, duration_us: int) -> None:
        pipeline = self._telemetry.pipeline
        try:
            if pipeline is not None:
                pipeline.query(series_of(sql), duration_us, current.get())
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._telemetry.swallow(error)
