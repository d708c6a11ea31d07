"""The ASGI middleware: what it records, and that the application does not notice it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware, track_error, track_feature

from ..conftest import HOST, Stored

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def sale(request: Request) -> Response:
    request.state.user_id = "alice@acme.example"
    request.state.session_id = "cookie-of-alice"
    body = await request.body()
    track_feature(request, "receipt_printed", {"status": "completed", "amount": 12.5, "note": "for Alice"})
    return JSONResponse({"id": request.path_params["id"], "read": len(body)}, status_code=201)


async def page(_request: Request) -> Response:
    return HTMLResponse("<h1>hello</h1>")


async def stream(_request: Request) -> Response:
    return StreamingResponse((b"x" * 100 for _ in range(5)), media_type="text/plain")


async def broken(_request: Request) -> Response:
    raise TimeoutError("no answer for bob@acme.example from 10.1.2.3 in /home/bob/app.py")


async def caught(request: Request) -> Response:
    try:
        raise ConnectionError("db of bob@acme.example is away")
    except ConnectionError as error:
        await track_error(request, error, {"operation": "sync"})
    return PlainTextResponse("ok")


ROUTES = [
    Route("/pos/{id:int}", sale, methods=["POST"]),
    Route("/", page),
    Route("/stream", stream),
    Route("/broken", broken),
    Route("/caught", caught),
    Mount("/admin", routes=[Route("/users/{name}", page)]),
]


def client(telemetry: Telemetry, **options: Any) -> TestClient:
    app = Starlette(routes=ROUTES)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    return TestClient(app, base_url=f"http://{HOST}", headers={"user-agent": AGENT}, **options)


def test_a_request_becomes_an_obfuscated_event(telemetry: Telemetry, stored: Stored) -> None:
    """Method, template, status, duration, sizes, feature, hashes and client are recorded; nothing a person would own."""
    answer = client(telemetry).post("/pos/4711?card=4111111111111111", content=b"12345678")
    assert (answer.status_code, answer.json()) == (201, {"id": 4711, "read": 8})
    request = next(event for event in stored() if event["type"] == "api_request")
    assert (request["method"], request["path"], request["status"]) == ("POST", "/pos/:id", 201)
    assert (request["request_bytes"], request["response_bytes"]) == (8, len(answer.content))
    assert (request["feature"], request["browser"], request["os"]) == ("pos_transaction", "Firefox", "Linux")
    assert request["duration_us"] > 0
    assert len(request["user"]) == len(request["session"]) == 16
    everything = str(stored()) + "".join(
        path.read_bytes().decode("latin-1") for path in telemetry.settings.home.rglob("*") if path.is_file()
    )
    for secret in ("alice", "acme", "4711", "41111111", "cookie-of", "Gecko", "12.5"):
        assert secret not in everything


def test_metadata_of_a_feature_keeps_declared_choices_only(telemetry: Telemetry, stored: Stored) -> None:
    """A declared choice passes, an amount and an undeclared text do not."""
    client(telemetry).post("/pos/1")
    usage = next(event for event in stored() if event["type"] == "feature_usage")
    assert usage["feature"] == "receipt_printed"
    assert usage["metadata"]["status"] == "completed"
    assert "12.5" not in str(usage)
    assert "Alice" not in str(usage)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/stream", "/stream"),
        ("/admin/users/bob", "/admin/users/:id"),
        ("/wp-login.php", "(unmatched)"),
        ("/stream/", "(unmatched)"),
    ],
)
def test_the_template_is_the_routers_own(telemetry: Telemetry, stored: Stored, path: str, template: str) -> None:
    """Routes of Starlette, mounted ones too, give their pattern; what matches no route is (unmatched), a redirect too."""
    client(telemetry).get(path, follow_redirects=False)
    assert [event["path"] for event in stored()] == [template]


def test_fastapi_routers_with_prefixes_give_their_whole_template(telemetry: Telemetry, stored: Stored) -> None:
    """A FastAPI route below a router prefix and below a mounted application is recorded with its whole template."""
    router = APIRouter(prefix="/users/{user_id}")

    @router.get("/transcripts/{transcript_id}")
    def transcript(user_id: str, transcript_id: str) -> dict[str, str]:
        return {"user": user_id, "transcript": transcript_id}

    inner = FastAPI()
    inner.include_router(router)
    app = FastAPI()
    app.include_router(router, prefix="/api")
    app.mount("/v2", inner)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    http = TestClient(app, base_url=f"http://{HOST}")
    assert http.get("/api/users/bob/transcripts/fall").json() == {"user": "bob", "transcript": "fall"}
    http.get("/v2/users/bob/transcripts/fall")
    paths = [event["path"] for event in stored()]
    assert paths == ["/api/users/:id/transcripts/:id", "/v2/users/:id/transcripts/:id"]


async def anything(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


async def by_prefix(scope: Any, receive: Any, send: Any) -> None:
    scope["root_path"] = "/bob"
    await Starlette(routes=[Route("/x", page)])(scope, receive, send)


TENANTS = Starlette(
    routes=[
        Mount("/shops/{name}", routes=[Route("/x", page), Mount("/deep/{other}", routes=[Route("/{name}", page)])]),
        Mount("/assets/{name}", anything),
        Mount("", by_prefix),
    ]
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/shops/bob/x", "/shops/:id/x"),
        ("/shops/bob/deep/bob/eve", "/shops/:id/deep/:id/:id"),
        ("/shops/bob/wp-login.php", "/shops/:id"),
        ("/assets/bob/any/thing", "/assets/:id"),
        ("/bob/x", "/:id/x"),
    ],
)
def test_mounts_give_their_pattern_and_never_a_value(
    telemetry: Telemetry, stored: Stored, path: str, template: str
) -> None:
    """A mount with parameters is recorded by its pattern; a prefix that no mount explains is a parameter as a whole."""
    TestClient(TelemetryMiddleware(TENANTS, telemetry), base_url=f"http://{HOST}").get(path)
    assert [event["path"] for event in stored()] == [template]


def test_an_unhandled_exception_is_recorded_and_passes_through(telemetry: Telemetry, stored: Stored) -> None:
    """The exception reaches the server unchanged; its event has a category, a scrubbed message and five lines at most."""
    with pytest.raises(TimeoutError, match="no answer for bob"):
        client(telemetry).get("/broken")
    request, error = sorted(stored(), key=lambda event: event["type"])
    assert (request["status"], request["path"]) == (500, "/broken")
    assert (error["category"], error["name"], error["path"]) == ("timeout", "TimeoutError", "/broken")
    assert "[EMAIL]" in error["message"]
    assert len(error["stack"].split("\n")) <= 5
    for secret in ("bob", "acme", "10.1.2.3"):
        assert secret not in str(error)


def test_a_caught_error_can_be_tracked_with_or_without_await(telemetry: Telemetry, stored: Stored) -> None:
    """track_error works where it is awaited; the failure is recorded with the request it belongs to."""
    assert client(telemetry).get("/caught").text == "ok"
    error = next(event for event in stored() if event["type"] == "error")
    assert (error["category"], error["path"], error["method"]) == ("network", "/caught", "GET")


def test_visitors_who_opt_out_by_gpc_carry_no_hashes(telemetry: Telemetry, stored: Stored) -> None:
    """A request with Sec-GPC: 1 is counted without user and session hash."""
    client(telemetry).post("/pos/1", headers={"Sec-GPC": "1"})
    assert all("user" not in event and "session" not in event for event in stored())


def test_development_hosts_are_never_recorded(telemetry: Telemetry, tmp_path: Any) -> None:
    """Without a configured public host, a request for localhost leaves nothing in the spool."""
    local = Telemetry(replace(telemetry.settings, home=tmp_path / "other", public_host=None))
    client(local).get("/", headers={"host": "localhost:8000"})
    assert local.pipeline is not None
    assert local.pipeline.spool.books.recorded == 0
    client(local).get("/", headers={"host": HOST})
    assert local.pipeline.spool.books.recorded == 1
    local.close()


App = Callable[[Any, Any, Any], Awaitable[None]]


async def conversation(app: App, scope: dict[str, Any], received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drive an application by hand and return what it sent; an exception is returned as the last message."""
    inbox, sent = list(received), []

    async def receive() -> dict[str, Any]:
        return inbox.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(dict(message))

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - compared below
        sent.append({"type": "exception", "is": repr(error)})
    return sent


flavour: ContextVar[str] = ContextVar("flavour", default="none")


async def streaming_app(_scope: Any, receive: Any, send: Any) -> None:
    flavour.set("streaming")
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    await send({"type": "http.response.body"})


async def fails_before_the_first_byte(_scope: Any, _receive: Any, _send: Any) -> None:
    raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])


async def fails_after_the_first_byte(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    raise RuntimeError("late")


@pytest.mark.parametrize("app", [streaming_app, fails_before_the_first_byte, fails_after_the_first_byte])
def test_the_messages_are_the_same_with_and_without_us(telemetry: Telemetry, app: App) -> None:
    """Messages, their order, exceptions and exception groups are the same around and without the middleware."""
    scope = {
        "type": "http", "method": "POST", "path": "/x", "headers": [(b"host", HOST.encode())], "query_string": b"",
        "client": ("203.0.113.1", 1), "root_path": "",
    }  # fmt: skip
    body: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"1", "more_body": True},
        {"type": "http.request", "body": b"2"},
    ]
    bare = asyncio.run(conversation(app, dict(scope), body))
    assert asyncio.run(conversation(TelemetryMiddleware(app, telemetry), dict(scope), body)) == bare


def test_headers_that_can_be_read_only_once_are_left_to_the_server(telemetry: Telemetry) -> None:
    """ASGI allows any iterable of headers: one that is used up by the first look reaches the server whole."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter([(b"x-a", b"1")])})
        await send({"type": "http.response.body"})

    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", HOST.encode())], "root_path": ""}
    start, _ = asyncio.run(conversation(TelemetryMiddleware(app, telemetry), scope, []))
    assert list(start["headers"]) == [(b"x-a", b"1")]


def test_context_variables_set_by_the_application_stay_visible(telemetry: Telemetry) -> None:
    """A context variable that the application sets in a request is seen by its caller as without us."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "client": None,
        "root_path": "",
    }

    async def seen(app: App) -> str:
        await conversation(app, dict(scope), [{"type": "http.request"}])
        return flavour.get()

    assert asyncio.run(seen(TelemetryMiddleware(streaming_app, telemetry))) == asyncio.run(seen(streaming_app))


@pytest.mark.parametrize("kind", ["lifespan", "of.tomorrow"])
def test_other_connections_pass_untouched(telemetry: Telemetry, kind: str) -> None:
    """Lifespan and unknown connections reach the application with the very same objects."""
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    arguments = ({"type": kind}, object(), object())
    asyncio.run(TelemetryMiddleware(app, telemetry)(*arguments))  # type: ignore[arg-type]
    assert all(one is other for one, other in zip(seen, arguments, strict=True))


def test_a_failure_of_ours_never_reaches_the_application(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """When recording itself breaks, the answer is the same and the failure is counted."""
    assert telemetry.pipeline is not None
    monkeypatch.setattr(telemetry.pipeline, "request", lambda _facts: 1 / 0)
    assert client(telemetry).get("/").text == "<h1>hello</h1>"
    assert telemetry.failures.pop("ZeroDivisionError") == 1
