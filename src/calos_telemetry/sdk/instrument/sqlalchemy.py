"""SQLAlchemy, sync and async: every query is counted by operation and table, with the time it took.

The statement and its parameters are never kept.  What a request spends in the database is in its own record.

The events around the dialect's own ``do_execute`` are used, because those around the cursor cost eight microseconds a
query in SQLAlchemy itself.  A listener of the same events that comes after ours is not called any more.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event

from calos_telemetry.sdk.instrument.statements import series_of
from calos_telemetry.sdk.record.facts import current

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from calos_telemetry.sdk.record.pipeline import Pipeline
    from calos_telemetry.sdk.telemetry import Telemetry

_watched: WeakKeyDictionary[Engine, Callable[[], None]] = WeakKeyDictionary()


def instrument_sqlalchemy(
    engine: Engine | AsyncEngine, telemetry: Telemetry, *, slow_ms: float | None = None
) -> Callable[[], None]:
    """Measure the queries of ``engine``; return what ends it.  An engine is measured once, however often this is called.

    ``slow_ms`` is from where on a query counts as slow, for the whole process (200 at first).
    """
    target = engine if isinstance(engine, Engine) else engine.sync_engine
    pipeline = telemetry.pipeline
    if pipeline is None:
        return _nothing
    if slow_ms is not None:
        pipeline.tally.slow_us = int(slow_ms * 1_000)
    if target not in _watched:
        _watched[target] = _watch(target, telemetry, pipeline)
    return _watched[target]


def _nothing() -> None:
    """Do nothing: telemetry is off."""


def _watch(engine: Engine, telemetry: Telemetry, pipeline: Pipeline) -> Callable[[], None]:
    query, now, now_answering = pipeline.query, perf_counter_ns, current.get

    def timed(execute: str) -> Callable[..., bool]:
        """Return what runs a statement in the place of the dialect's ``execute``, by calling exactly that."""
        through = getattr(engine.dialect, execute)

        def run(cursor: Any, statement: str, *rest: Any) -> bool:
            started = now()
            try:
                through(cursor, statement, *rest)
            finally:
                try:
                    query(series_of(statement), (now() - started) // 1_000, now_answering())
                except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
                    telemetry.swallow(error)
            return True

        return run

    listeners = [(name, timed(name)) for name in ("do_execute", "do_executemany", "do_execute_no_params")]
    for name, listener in listeners:
        event.listen(engine, name, listener)
    pipeline.tally.sources.add("sqlalchemy")

    def end() -> None:
        if _watched.pop(engine, None) is not None:
            for name, listener in listeners:
                event.remove(engine, name, listener)
        if not _watched:
            pipeline.tally.sources.discard("sqlalchemy")

    return end
