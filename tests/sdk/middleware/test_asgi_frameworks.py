"""Litestar, Quart, websockets, and paths that are not recorded: what the ASGI middleware makes of them."""

import asyncio
from typing import Any, cast

import pytest
from litestar import Litestar, Request, Router, WebSocket, get, websocket
from litestar.params import FromPath
from quart import Quart, g
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket as StarletteWebSocket
from starlette.websockets import WebSocketDisconnect

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.middleware.litestar import init_litestar
from calos_telemetry.sdk.middleware.quart import init_quart

from ..conftest import HOST, Stored

LOCAL = {"host": HOST}


def requests_in(stored: Stored) -> list[dict[str, Any]]:
    return [event for event in stored() if event["type"] == "api_request"]


def test_litestar_gives_template_user_session_and_errors(telemetry: Telemetry, stored: Stored) -> None:
    """A Litestar application: its own templates (never a name out of the path), who asked, and what nobody caught."""

    @get("/users/{user_id:int}/posts/{slug:str}")
    async def post(request: Request[Any, Any, Any], user_id: FromPath[int], slug: FromPath[str]) -> dict[str, str]:
        request.state.user_id, request.state.session_id = "alice", "cookie"
        return {"slug": f"{user_id}{slug}"}

    @get("/broken")
    async def broken() -> None:
        raise TimeoutError("no answer for bob@acme.example")

    app = Litestar([Router("/api", route_handlers=[post]), broken], logging_config=None)
    init_litestar(app, telemetry)
    client = TestClient(cast("Any", app), headers=LOCAL, raise_server_exceptions=False)
    statuses = [client.get(path).status_code for path in ("/api/users/5/posts/bob", "/broken", "/nowhere")]
    assert statuses == [200, 500, 404]
    assert client.get("/api/telemetry/").status_code in {200, 403}
    events = stored()
    seen = {event["path"]: event for event in events if event["type"] == "api_request"}
    assert set(seen) == {"/api/users/:id/posts/:id", "/broken", "(unmatched)"}
    assert len(seen["/api/users/:id/posts/:id"]["user"]) == len(seen["/api/users/:id/posts/:id"]["session"]) == 16
    errors = [(event["name"], event["category"]) for event in events if event["type"] == "error"]
    assert errors == [("TimeoutError", "timeout")]
    assert "bob" not in str(events)


def test_quart_gives_template_user_session_and_errors(telemetry: Telemetry, stored: Stored) -> None:
    """A Quart application, likewise; its websockets too."""
    app = Quart(__name__)

    @app.route("/users/<name>/x")
    async def x(name: str) -> str:
        g.user_id, g.session_id = "alice", "cookie"
        return name

    @app.route("/broken")
    async def broken() -> str:
        raise TimeoutError("no answer for bob@acme.example")

    @app.websocket("/live/<room>")
    async def live(room: str) -> None:
        await quart_websocket.send(room)

    init_quart(app, telemetry)

    async def visit() -> list[int]:
        client = app.test_client()
        answers = [await client.get(path, headers=LOCAL) for path in ("/users/bob/x", "/broken", "/nowhere")]
        async with client.websocket("/live/bob", headers=LOCAL) as connection:
            assert await connection.receive() == "bob"
        return [answer.status_code for answer in answers]

    assert asyncio.run(visit()) == [200, 500, 404]
    events = stored()
    seen = {event["path"]: event for event in events if event["type"] == "api_request"}
    assert set(seen) == {"/users/:id/x", "/broken", "(unmatched)", "/live/:id"}
    assert len(seen["/users/:id/x"]["user"]) == len(seen["/users/:id/x"]["session"]) == 16
    assert seen["/live/:id"]["style"] == "websocket"
    errors = [(event["name"], event["category"]) for event in events if event["type"] == "error"]
    assert errors == [("TimeoutError", "timeout")]
    assert "bob" not in str(events)


async def echo(connection: StarletteWebSocket) -> None:
    await connection.accept()
    await connection.send_text("ü" + await connection.receive_text())
    await connection.send_bytes(await connection.receive_bytes())
    await connection.close()


async def refuse(connection: StarletteWebSocket) -> None:
    await connection.close()


async def fail(connection: StarletteWebSocket) -> None:
    await connection.accept()
    raise LookupError("broken")


SOCKETS = [WebSocketRoute("/rooms/{name}", echo), WebSocketRoute("/refused", refuse), WebSocketRoute("/fails", fail)]


def test_a_websocket_is_one_request_with_the_bytes_of_its_messages(telemetry: Telemetry, stored: Stored) -> None:
    """A connection is recorded when it ends: template, style, 101, and the bytes of all messages both ways."""
    client = TestClient(TelemetryMiddleware(Starlette(routes=SOCKETS), telemetry), headers=LOCAL)
    with client.websocket_connect("/rooms/bob") as connection:
        connection.send_text("é")
        assert connection.receive_text() == "üé"
        connection.send_bytes(bytes(100))
        assert connection.receive_bytes() == bytes(100)
    (event,) = requests_in(stored)
    assert (event["path"], event["style"], event["status"]) == ("/rooms/:id", "websocket", 101)
    assert (event["request_bytes"], event["response_bytes"]) == (102, 104)


@pytest.mark.parametrize(("path", "status"), [("/refused", 403), ("/nowhere", 404)])
def test_a_refused_websocket_says_so(telemetry: Telemetry, stored: Stored, path: str, status: int) -> None:
    """One that the application refuses is 403; one that no route takes is 404, and its path is not kept."""
    client = TestClient(TelemetryMiddleware(Starlette(routes=SOCKETS), telemetry), headers=LOCAL)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
        pass
    (event,) = requests_in(stored)
    assert (event["path"], event["status"]) == ("/refused" if status == 403 else "(unmatched)", status)


def test_a_failing_websocket_is_an_error_and_passes_through(telemetry: Telemetry, stored: Stored) -> None:
    """An exception in a websocket reaches the server unchanged and is recorded."""
    client = TestClient(TelemetryMiddleware(Starlette(routes=SOCKETS), telemetry), headers=LOCAL)
    with pytest.raises(LookupError, match="broken"), client.websocket_connect("/fails"):
        pass
    assert sorted((event["type"], event["path"]) for event in stored()) == [
        ("api_request", "/fails"),
        ("error", "/fails"),
    ]


def test_a_litestar_websocket_has_its_template(telemetry: Telemetry, stored: Stored) -> None:
    """Litestar's websockets, likewise."""

    @websocket("/rooms/{name:str}")
    async def room(socket: WebSocket[Any, Any, Any], name: FromPath[str]) -> None:
        await socket.accept()
        await socket.send_text(name)
        await socket.close()

    app = Litestar([room], logging_config=None)
    init_litestar(app, telemetry)
    with TestClient(cast("Any", app), headers=LOCAL).websocket_connect("/rooms/bob") as connection:
        assert connection.receive_text() == "bob"
    assert [(event["path"], event["style"]) for event in requests_in(stored)] == [("/rooms/:id", "websocket")]


async def ok(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("ok")


ROUTES = [
    Route(path, ok)
    for path in ("/", "/health", "/health/", "/health/of/patients", "/live", "/static/app.js", "/metrics")
]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, ["/", "/health/of/patients", "/live", "/static/app.js"]),
        ({"exclude": ()}, ["/", "/health", "/health/", "/health/of/patients", "/live", "/metrics", "/static/app.js"]),
        ({"exclude": ("/static/", "/")}, ["/health", "/health/", "/health/of/patients", "/live", "/metrics"]),
    ],
    ids=["by default", "nothing", "static files"],
)
def test_health_checks_are_left_out(
    telemetry: Telemetry, stored: Stored, options: dict[str, Any], left: list[str]
) -> None:
    """What machines ask for is answered but not recorded; the application may say otherwise."""
    client = TestClient(TelemetryMiddleware(Starlette(routes=ROUTES), telemetry, **options), headers=LOCAL)
    for route in ROUTES:
        assert client.get(route.path).text == "ok"
    assert sorted(event["path"] for event in requests_in(stored)) == left
