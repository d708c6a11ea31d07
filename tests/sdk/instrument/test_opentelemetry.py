"""OpenTelemetry's real SDK and instrumentation feed us, nothing twice; our numbers go out by OTLP and to Prometheus."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from sqlalchemy import create_engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware, track_feature, track_transaction
from calos_telemetry.sdk.instrument.opentelemetry import TelemetrySpanProcessor, export_metrics
from calos_telemetry.sdk.instrument.spans import series_of_span
from calos_telemetry.sdk.instrument.sqlalchemy import instrument_sqlalchemy

from ..conftest import HOST, Stored
from .otlp import numbers_of, receiver


@pytest.fixture
def provider(telemetry: Telemetry) -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(TelemetrySpanProcessor(telemetry))
    yield made
    made.shutdown()


@pytest.fixture
def database(provider: TracerProvider) -> Iterator[Callable[[], None]]:
    """Return what asks an instrumented sqlite3 two questions."""
    instrumentor = SQLite3Instrumentor()
    instrumentor.instrument(tracer_provider=provider)

    def ask() -> None:
        connection = sqlite3.connect(":memory:")
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE orders (who TEXT)")
        cursor.execute("SELECT who FROM orders WHERE who = 'alice'")
        connection.close()

    yield ask
    instrumentor.uninstrument()


def application(ask: Callable[[], None] = lambda: None) -> Starlette:
    def sale(_request: Request) -> Response:
        ask()
        track_feature(None, "receipt_printed")
        return PlainTextResponse("ok", status_code=201)

    def broken(_request: Request) -> Response:
        raise TimeoutError("no answer for bob@acme.example")

    return Starlette(routes=[Route("/pos/{id}", sale, methods=["POST"]), Route("/broken", broken)])


def by_type(stored: Stored) -> Counter[str]:
    return Counter(event["type"] for event in stored())


def test_server_spans_become_requests(
    telemetry: Telemetry, stored: Stored, provider: TracerProvider, database: Callable[[], None]
) -> None:
    """A request of an instrumented application is recorded from its span: template, status, time, queries, feature; scrubbed."""
    app = OpenTelemetryMiddleware(application(database), tracer_provider=provider)
    answer = TestClient(app, base_url=f"http://{HOST}").post("/pos/4711?card=4111111111111111")
    assert answer.status_code == 201
    request = next(event for event in stored() if event["type"] == "api_request")
    assert (request["method"], request["path"], request["status"]) == ("POST", "/pos/:id", 201)
    assert (request["feature"], request["database_queries"]) == ("pos_transaction", 2)
    assert 0 <= request["database_us"] <= request["duration_us"]
    queries = {event["name"] for event in stored() if event.get("metric") == "database_query"}
    assert queries == {"SELECT orders", "OTHER sqlite"}
    assert by_type(stored)["feature_usage"] == 1
    for secret in ("alice", "4711", "4111"):
        assert secret not in str(stored())
    assert telemetry.failures == {}


@pytest.mark.parametrize("ours_outside", [True, False])
def test_beside_our_middleware_nothing_is_measured_twice(
    telemetry: Telemetry, stored: Stored, provider: TracerProvider, database: Callable[[], None], ours_outside: bool
) -> None:
    """With our middleware around or inside OpenTelemetry's, each request, query and failure is recorded once."""
    app: Any = application(database)
    if ours_outside:
        app = TelemetryMiddleware(OpenTelemetryMiddleware(app, tracer_provider=provider), telemetry)
    else:
        app = OpenTelemetryMiddleware(TelemetryMiddleware(app, telemetry), tracer_provider=provider)
    client = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)
    assert [client.post("/pos/1").status_code, client.get("/broken").status_code] == [201, 500]
    requests = [event for event in stored() if event["type"] == "api_request"]
    assert sorted(event["path"] for event in requests) == ["/broken", "/pos/:id"]
    assert sum(event.get("database_queries", 0) for event in requests) == 2
    assert by_type(stored)["error"] == 1


def test_a_failed_span_tells_the_failure(telemetry: Telemetry, stored: Stored, provider: TracerProvider) -> None:
    """An exception that the application's span recorded becomes a failure with category and scrubbed stack."""
    tracer = provider.get_tracer("shop")
    attributes = {
        "http.request.method": "GET",
        "url.path": "/users/4711",
        "server.address": HOST,
        "http.route": "/users/{id}",
    }

    def answer() -> None:
        with tracer.start_as_current_span("GET", kind=SpanKind.SERVER, attributes=attributes) as span:
            span.set_attribute("http.response.status_code", 504)
            raise TimeoutError("no answer for bob@acme.example")

    with pytest.raises(TimeoutError):
        answer()
    request, error = sorted(stored(), key=lambda event: event["type"])
    assert (request["path"], request["status"]) == ("/users/:id", 504)
    assert (error["name"], error["category"], error["path"]) == ("TimeoutError", "timeout", "/users/:id")
    assert len(error["stack"].split("\n")) <= 5
    assert "bob" not in str(error)
    assert telemetry.failures == {}


def test_our_own_instrument_wins_over_database_spans(
    telemetry: Telemetry, stored: Stored, provider: TracerProvider, database: Callable[[], None]
) -> None:
    """Where SQLAlchemy is measured by us, its spans and those of the driver below it are not counted again."""
    engine = create_engine("sqlite://")
    instrument_sqlalchemy(engine, telemetry)
    SQLAlchemyInstrumentor().instrument(engine=engine, tracer_provider=provider)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM sqlite_master"))
    finally:
        SQLAlchemyInstrumentor().uninstrument()
    assert callable(database)
    counts = {e["name"]: e.get("count", 1) for e in stored() if e.get("metric") == "database_query"}
    assert counts == {"SELECT sqlite_master": 1}


def test_a_query_span_inside_a_query_span_is_the_same_query(
    telemetry: Telemetry, stored: Stored, provider: TracerProvider
) -> None:
    """The driver's span below the library's is not a second query; spans that are neither request nor query are nothing."""
    tracer = provider.get_tracer("shop")
    query = {"db.system": "postgresql", "db.statement": "SELECT * FROM orders"}
    with tracer.start_as_current_span("library", kind=SpanKind.CLIENT, attributes=query):
        tracer.start_span("driver", kind=SpanKind.CLIENT, attributes=query).end()
    tracer.start_span("work").end()
    tracer.start_span("consumer", kind=SpanKind.SERVER, attributes={"rpc.system": "grpc"}).end()
    assert [(event["name"], event.get("count", 1)) for event in stored()] == [("SELECT orders", 1)]
    assert telemetry.failures == {}


@pytest.mark.parametrize(
    ("attributes", "series"),
    [
        ({"db.query.text": "select * from orders where a = 'x'", "db.system.name": "postgresql"}, "SELECT orders"),
        ({"db.operation.name": "INSERT", "db.collection.name": "orders", "db.system": "mysql"}, "INSERT orders"),
        ({"db.operation": "SELECT", "db.sql.table": "shop.orders", "db.system": "mysql"}, "SELECT orders"),
        ({"db.system": "redis", "db.statement": "GET session:alice"}, "OTHER redis"),
        ({"db.system": "x" * 50}, "OTHER"),
        ({"db.system": "bob@acme.example"}, "OTHER"),
        ({"db.system": 7, "db.statement": 8}, "OTHER"),
    ],
)
def test_old_and_new_attributes(attributes: dict[str, Any], series: str) -> None:
    """Operation and table are read from the statement or the attributes, in the old and the new conventions."""
    assert series_of_span(attributes) == series


def work(telemetry: Telemetry) -> None:
    client = TestClient(TelemetryMiddleware(application(), telemetry), base_url=f"http://{HOST}")
    for _ in range(3):
        client.post("/pos/1")
    with track_transaction("checkout"):
        pass
    telemetry.flush()


def test_our_numbers_arrive_by_otlp(telemetry: Telemetry) -> None:
    """A real receiver gets, as protobuf, the counters and latencies that the install's database holds."""
    work(telemetry)
    with receiver() as (url, arrived):
        provider = export_metrics(telemetry, url, seconds=3_600)
        assert provider.force_flush()
        provider.shutdown()
        numbers = numbers_of(arrived.get(timeout=10))
    assert numbers["calos.requests", frozenset({("key", "2xx")})] == 3
    assert numbers["calos.feature", frozenset({("key", "pos_transaction")})] == 3
    assert numbers["calos.transaction", frozenset({("key", "checkout")})] == 1
    assert numbers["calos.events", frozenset({("state", "stored")})] == 7
    median = {
        ("metric", "api_request"),
        ("method", "POST"),
        ("path", "/pos/:id"),
        ("status", "201"),
        ("quantile", "0.5"),
    }
    assert 0 < numbers["calos.latency", frozenset(median)] < 5


def test_prometheus_reads_the_operators_page(telemetry: Telemetry) -> None:
    """The page has type and numbers in Prometheus' text format; a stranger is refused."""
    work(telemetry)
    headers = {"host": "localhost"}
    page = TestClient(telemetry.viewer(), client=("127.0.0.1", 5)).get("/metrics", headers=headers)
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = page.text.splitlines()
    assert 'calos_requests_total{key="2xx"} 3' in lines
    assert "# TYPE calos_requests_total counter" in lines
    assert 'calos_measured{metric="api_request",method="POST",path="/pos/:id",status="201"} 3' in lines
    assert TestClient(telemetry.viewer(), client=("203.0.113.9", 5)).get("/metrics").status_code == 403
