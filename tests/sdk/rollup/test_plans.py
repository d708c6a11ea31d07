"""What a drain asks of the database costs as much as the drain, not as much as everything that is stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage, Performance
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from tests.conftest import Open

from .conftest import INSTALL_ID

NOON = 1_764_072_000_000
EVENTS: tuple[Event, ...] = (
    ApiRequest("GET", "/guests/maria", 200, 7, session="00" * 8, user="11" * 8, country="DE", inferred=True),
    FeatureUsage(feature="pos", session="00" * 8),
    ErrorEvent(category="database", name="E", message="it broke", path="/guests/maria", inferred=True),
    Performance(metric="transaction", duration_us=5, name="checkout"),
)


def read_whole(engine: Engine, events: list[Stored]) -> set[str]:
    """Store the events; return the tables that a query of it read from one end to the other."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with writing(engine) as connection:
        store_events(connection, INSTALL_ID, events)
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        steps = [
            step[3]
            for statement, parameters in asked
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    return {step.split()[1] for step in steps if step.startswith("SCAN telemetry_")}


def test_no_query_of_a_drain_reads_a_whole_table(open_on: Open) -> None:
    """Every table is entered by a key, also where events come late or twice and every rollup has rows already."""
    engine = open_on("sqlite")
    events = [Stored(f"{n:032x}", NOON + n * 60_000, one) for n, one in enumerate(EVENTS * 5)]
    read_whole(engine, events[4:])
    assert read_whole(engine, events[:12]) == set()
