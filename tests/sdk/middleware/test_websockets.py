"""Websockets and lifespans pass unchanged, message by message, and what becomes of a connection is told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, cast

import pytest
from litestar import Litestar
from quart import Quart
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.middleware.litestar import init_litestar
from calos_telemetry.sdk.middleware.quart import init_quart

from ..conftest import HOST, Stored

App = Callable[[Any, Any, Any], Awaitable[None]]
SCOPE: dict[str, Any] = {
    "type": "websocket", "path": "/live", "headers": [(b"host", HOST.encode())], "query_string": b"", "client": None,
    "root_path": "", "extensions": {"websocket.http.response": {}},
}  # fmt: skip
CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
seen: ContextVar[str] = ContextVar("seen", default="nothing")


def talking(*messages: dict[str, Any], then: BaseException | None = None) -> App:
    """Return an application that receives and sends in turn, and at last may fail."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            seen.set(str(await receive()))
            await send(message)
        seen.set(str(await receive()))
        if then is not None:
            raise then

    return app


async def conversation(app: App, inbox: list[dict[str, Any]], cut: int | None) -> list[Any]:
    """Return what the application sent, received, left in its context, and raised; the server refuses message ``cut``."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return inbox[len(sent)]

    async def send(message: dict[str, Any]) -> None:
        if len(sent) == cut:
            raise ConnectionResetError("the client is gone")
        sent.append(dict(message))

    try:
        await app({**SCOPE}, receive, send)
    except BaseException as error:  # noqa: BLE001 - compared
        sent.append(repr(error))
    return [*sent, seen.get()]


def received(**fields: Any) -> dict[str, Any]:
    return {"type": "websocket.receive", **fields}


def gone(code: int) -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code}


class WebSocketDisconnect(Exception):  # noqa: N818 - as Starlette and Litestar call theirs
    """A framework's word for a connection that has ended."""


SAY = {"type": "websocket.send", "text": "é"}
DENY = {"type": "websocket.http.response.start", "status": 401, "headers": []}
DENIED = {"type": "websocket.http.response.body", "body": b"who are you?"}
Case = tuple[str, App, list[dict[str, Any]], int | None, dict[str, Any]]
CASES: list[Case] = [
    ("closed by the client", talking(ACCEPT, SAY), [CONNECT, received(text="ü"), gone(1_000)], None,
     {"status": 101, "request_bytes": 2, "response_bytes": 2}),
    ("left open, then let go", talking(ACCEPT, then=WebSocketDisconnect()), [CONNECT, gone(1_001)], None,
     {"status": 101}),
    ("broken", talking(ACCEPT, then=WebSocketDisconnect()), [CONNECT, gone(1_006)], None,
     {"status": 101, "disconnected": True}),
    ("gone while it was sent to", talking(ACCEPT, SAY), [CONNECT, received(bytes=b"123")], 1,
     {"status": 101, "disconnected": True, "request_bytes": 3, "response_bytes": 2}),
    ("gone before it was accepted", talking(), [gone(1_006)], None, {"status": 499, "disconnected": True}),
    ("denied with a response", talking(DENY, DENIED), [CONNECT, CONNECT, gone(1_006)], None,
     {"status": 401, "response_bytes": 12, "error": "authentication"}),
    ("closed by the application", talking(ACCEPT, {"type": "websocket.close"}), [CONNECT, received(text=""), gone(1_006)],
     None, {"status": 101}),
    ("cancelled", talking(ACCEPT, then=asyncio.CancelledError()), [CONNECT, received(text="")], None,
     {"status": 101, "disconnected": True}),
]  # fmt: skip
FAILURES: list[BaseException] = [LookupError("x"), ExceptionGroup("two", [WebSocketDisconnect(), KeyError("x")])]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_what_becomes_of_a_websocket(telemetry: Telemetry, stored: Stored, case: Case) -> None:
    """Messages, context and exceptions are the same with and without us; how it ended is told, and none is a failure."""
    _, app, inbox, cut, expected = case
    around = TelemetryMiddleware(app, telemetry)
    assert asyncio.run(conversation(around, inbox, cut)) == asyncio.run(conversation(app, inbox, cut))
    (event,) = stored()
    figures = ("status", "disconnected", "request_bytes", "response_bytes", "error")
    assert {name: event[name] for name in figures if name in event} == expected
    assert ("streamed_us" in event) is (expected["status"] == 101)
    assert (event["style"], event["method"]) == ("websocket", "GET")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_websocket_passes_its_exception_on(
    telemetry: Telemetry, stored: Stored, failure: BaseException
) -> None:
    """An exception, or a group of which one is a failure, reaches the server unchanged and is recorded."""
    app = talking(ACCEPT, then=failure)
    inbox = [CONNECT, received(text="")]
    around = TelemetryMiddleware(app, telemetry)
    assert asyncio.run(conversation(around, inbox, None)) == asyncio.run(conversation(app, inbox, None))
    (error,) = [event for event in stored() if event["type"] == "error"]
    assert error["name"] == type(failure).__name__


def test_lifespans_reach_litestar_and_quart(telemetry: Telemetry) -> None:
    """Both start up and shut down as without us."""
    steps: list[str] = []
    litestar = Litestar(
        [],
        on_startup=[lambda: steps.append("litestar up")],
        on_shutdown=[lambda: steps.append("litestar down")],
        logging_config=None,
    )
    init_litestar(litestar, telemetry)
    quart = Quart(__name__)
    quart.before_serving(lambda: steps.append("quart up"))
    quart.after_serving(lambda: steps.append("quart down"))
    init_quart(quart, telemetry)
    for app in (litestar, quart):
        with TestClient(cast("Any", app)):
            steps.append("serving")
    assert steps == ["litestar up", "serving", "litestar down", "quart up", "serving", "quart down"]
