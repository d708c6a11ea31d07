"""Queries of SQLAlchemy: counted by operation and table, added to their request, written down once, never in the way."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.instrument.sqlalchemy import instrument_sqlalchemy
from calos_telemetry.sdk.record.facts import RequestFacts
from calos_telemetry.sdk.record.queries import FLUSH_MS

from ..conftest import HOST, Stored


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER, customer TEXT)"))
    yield made
    made.dispose()


def counted(stored: Stored) -> dict[str, int]:
    """Return how many queries of each operation and table are stored, by event and by row alike."""
    totals: dict[str, int] = {}
    for event in stored():
        if event.get("metric") == "database_query":
            totals[event["name"]] = totals.get(event["name"], 0) + event.get("count", 1)
            assert sum(event["buckets"].values()) == event.get("count", 1)
            assert event["duration_us"] <= event["total_us"]
    return totals


def query(engine: Engine, times: int = 1) -> None:
    with engine.begin() as connection:
        for number in range(times):
            connection.execute(text("SELECT id FROM orders WHERE customer = 'alice'"))
            connection.execute(text("INSERT INTO orders VALUES (:id, :who)"), {"id": number, "who": "alice"})


def test_queries_of_a_request_are_in_its_record_and_in_the_table(
    telemetry: Telemetry, stored: Stored, engine: Engine
) -> None:
    """The request carries number and time of its queries; per operation and table there is one record, with no statement."""
    instrument_sqlalchemy(engine, telemetry)

    def endpoint(_request: Request) -> Response:
        query(engine, 3)
        return PlainTextResponse("ok")

    app = TelemetryMiddleware(Starlette(routes=[Route("/", endpoint)]), telemetry)
    assert TestClient(app, base_url=f"http://{HOST}").get("/").text == "ok"
    assert counted(stored) == {"SELECT orders": 3, "INSERT orders": 3}
    request = next(event for event in stored() if event["type"] == "api_request")
    assert request["database_queries"] == 6
    assert 0 <= request["database_us"] <= request["duration_us"]
    assert "alice" not in str(stored())
    assert "customer" not in str(stored())


def test_async_engines_and_queries_outside_requests(telemetry: Telemetry, stored: Stored) -> None:
    """An async engine is measured as well; outside any request the queries are counted by operation and table."""

    async def main() -> None:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        instrument_sqlalchemy(engine, telemetry)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE lines (id INTEGER)"))
            await connection.execute(text("SELECT * FROM lines"))
        await engine.dispose()

    asyncio.run(main())
    assert counted(stored) == {"OTHER": 1, "SELECT lines": 1}


def test_a_development_host_leaves_no_queries(telemetry: Telemetry, engine: Engine, tmp_path: Any) -> None:
    """Queries of a request that may not be recorded are not recorded either."""
    from dataclasses import replace  # noqa: PLC0415

    local = Telemetry(replace(telemetry.settings, home=tmp_path / "other", public_host=None))
    instrument_sqlalchemy(engine, local)

    def endpoint(_request: Request) -> Response:
        query(engine)
        return PlainTextResponse("ok")

    app = TelemetryMiddleware(Starlette(routes=[Route("/", endpoint)]), local)
    TestClient(app, base_url="http://localhost").get("/")
    assert (local.flush(), local.pipeline and local.pipeline.spool.books.recorded) == (0, 0)
    local.close()


def test_an_error_of_the_database_is_the_applications_and_is_counted(
    telemetry: Telemetry, stored: Stored, engine: Engine
) -> None:
    """A failing query raises as without us and is counted."""
    instrument_sqlalchemy(engine, telemetry)
    with pytest.raises(OperationalError, match="no such table"), engine.connect() as connection:
        connection.execute(text("SELECT * FROM missing"))
    assert counted(stored) == {"SELECT missing": 1}


def test_it_is_idempotent_and_ends(telemetry: Telemetry, stored: Stored, engine: Engine) -> None:
    """Instrumenting twice measures once; after the end nothing is measured; then it can begin again."""
    end = instrument_sqlalchemy(engine, telemetry)
    assert instrument_sqlalchemy(engine, telemetry) is end
    query(engine)
    end()
    end()
    query(engine)
    assert counted(stored) == {"SELECT orders": 1, "INSERT orders": 1}
    instrument_sqlalchemy(engine, telemetry)
    query(engine)
    assert counted(stored) == {"SELECT orders": 2, "INSERT orders": 2}


def test_slow_queries_are_counted(telemetry: Telemetry, stored: Stored, engine: Engine) -> None:
    """Queries at or over the threshold are counted as slow ones."""
    instrument_sqlalchemy(engine, telemetry, slow_ms=0)
    query(engine)
    assert [event["slow"] for event in stored() if event.get("metric") == "database_query"] == [1, 1]
    with telemetry.install.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT key, value FROM telemetry_aggregates WHERE counter = 'slow_query'")
        ).all()
    assert sorted(map(tuple, rows)) == [("INSERT orders", 1), ("SELECT orders", 1)]


def test_threads_lose_no_query(telemetry: Telemetry, stored: Stored) -> None:
    """Queries counted by several threads at once, beside the flushes, add up to the unit."""
    assert telemetry.pipeline is not None
    pipeline = telemetry.pipeline

    def work() -> None:
        for number in range(2_000):
            pipeline.query("SELECT orders", number, None)
            if number % 100 == 0:
                pipeline.write_queries()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(stored) == {"SELECT orders": 8_000}


def test_a_forked_child_counts_only_its_own(telemetry: Telemetry, stored: Stored) -> None:
    """What the parent has counted and not yet written down is not written down by a child as well."""
    assert telemetry.pipeline is not None
    telemetry.pipeline.tally.add([("SELECT orders", 5)] * 3, 0)
    child = os.fork()
    if child == 0:
        telemetry.pipeline.tally.add([("SELECT orders", 7)], 0)
        telemetry.pipeline.write_queries()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert counted(stored) == {"SELECT orders": 4}


def test_too_many_tables_become_one(telemetry: Telemetry, stored: Stored) -> None:
    """Series are bounded; what is too many is counted as (other)."""
    assert telemetry.pipeline is not None
    telemetry.pipeline.tally.add([(f"SELECT table_{number}", 1) for number in range(300)], 0)
    totals = counted(stored)
    assert (sum(totals.values()), len(totals), totals["OTHER (other)"]) == (300, 201, 100)


def test_a_request_writes_down_what_is_due(telemetry: Telemetry) -> None:
    """Queries counted two seconds ago are written down with the next record, without the background thread."""
    assert telemetry.pipeline is not None
    pipeline = telemetry.pipeline
    pipeline.tally.add([("SELECT orders", 5)], now_ms() - FLUSH_MS)
    pipeline.request(RequestFacts(pipeline, now_ms(), "GET", "/", HOST))
    assert pipeline.spool.books.recorded == 2
    pipeline.request(RequestFacts(pipeline, now_ms(), "GET", "/", HOST))
    assert pipeline.spool.books.recorded == 3


_SCRIPT = """
from sqlalchemy import create_engine, text
from calos_telemetry import Telemetry
from calos_telemetry.sdk.instrument.sqlalchemy import instrument_sqlalchemy
telemetry, engine = Telemetry(), create_engine("sqlite://")
instrument_sqlalchemy(engine, telemetry)
with engine.connect() as connection:
    connection.execute(text("SELECT 1 FROM sqlite_master"))
"""


def test_a_short_script_leaves_its_queries(telemetry: Telemetry, stored: Stored) -> None:
    """A program that only asks the database and ends at once loses none of its queries."""
    environment = {**os.environ, "CALOS_HOME": str(telemetry.settings.home), "CALOS_PUBLIC_HOST": HOST}
    subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, check=True, timeout=60)
    assert counted(stored) == {"SELECT sqlite_master": 1}


def test_many_rows_in_one_statement_are_as_without_us(telemetry: Telemetry, stored: Stored, engine: Engine) -> None:
    """Executemany, and SQLAlchemy's own batches of INSERT ... RETURNING, give the same rows and count as they are sent."""
    instrument_sqlalchemy(engine, telemetry)
    orders = Table("orders", MetaData(), Column("id", Integer, primary_key=True), Column("customer", String))
    rows = [{"customer": f"c{number}"} for number in range(30)]
    with engine.begin() as connection:
        connection.execute(orders.insert(), rows)
        returned = connection.execute(orders.insert().returning(orders.c.customer), rows).scalars().all()
        assert sorted(returned) == sorted(row["customer"] for row in rows)
        assert connection.scalar(select(func.count()).select_from(orders)) == 60
    totals = counted(stored)
    assert totals["SELECT orders"] == 1
    assert totals["INSERT orders"] >= 2
