"""Clients that go away, and answers in pieces: told apart from failures and from slow answers, on every ASGI framework."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from litestar import Litestar, get, post
from litestar import Request as LitestarRequest
from litestar.params import FromPath
from litestar.response import Stream
from quart import Quart
from quart import request as quart_request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.middleware.litestar import init_litestar
from calos_telemetry.sdk.middleware.quart import init_quart

from ..conftest import HOST, Stored

Make = Callable[[Telemetry], Any]


async def forever() -> AsyncIterator[bytes]:
    yield b"first"
    await asyncio.Event().wait()


def of_starlette(telemetry: Telemetry) -> Any:
    async def stream(_request: Request) -> Response:
        return StreamingResponse(forever())

    async def upload(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    return TelemetryMiddleware(
        Starlette(routes=[Route("/stream/{name}", stream), Route("/upload/{name}", upload, methods=["POST"])]),
        telemetry,
    )


def of_litestar(telemetry: Telemetry) -> Any:
    @get("/stream/{name:str}")
    async def stream(name: FromPath[str]) -> Stream:
        del name
        return Stream(forever())

    @post("/upload/{name:str}")
    async def upload(name: FromPath[str], request: LitestarRequest[Any, Any, Any]) -> str:
        del name
        return str(len(await request.body()))

    app = Litestar([stream, upload], logging_config=None)
    init_litestar(app, telemetry)
    return app


def of_quart(telemetry: Telemetry) -> Any:
    app = Quart(__name__)

    @app.get("/stream/<name>")
    async def stream(name: str) -> Any:
        del name
        return forever()

    @app.post("/upload/<name>")
    async def upload(name: str) -> str:
        del name
        return str(len(await quart_request.get_data()))

    init_quart(app, telemetry)
    return app


MAKERS: list[Make] = [of_starlette, of_litestar, of_quart]


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Run a real server; yield its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def recorded(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set as soon as a request was recorded."""
    done, record = threading.Event(), telemetry.record

    def noting(facts: Any) -> None:
        record(facts)
        done.set()

    monkeypatch.setattr(telemetry, "record", noting)
    return done


def leave(port: int, request: str, until: bytes) -> None:
    """Send a request, and close the connection when ``until`` has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request.replace("\n", "\r\n").encode())
        seen = b""
        while until not in seen:
            seen += client.recv(4_096)


@pytest.mark.parametrize("make", MAKERS)
def test_a_client_that_leaves_a_stream_is_no_failure(
    telemetry: Telemetry, stored: Stored, recorded: threading.Event, make: Make
) -> None:
    """Who closes the window on a stream: 200, disconnected, no error; how long it took to begin, and how long it went on."""
    with serving(make(telemetry)) as port:
        leave(port, f"GET /stream/bob HTTP/1.1\nHost: {HOST}\n\n", b"first")
        assert recorded.wait(20)
    (event,) = stored()
    assert (event["path"], event["status"], event["response_bytes"]) == ("/stream/:id", 200, 5)
    assert event["disconnected"]
    assert event["streamed_us"] > 0
    assert "error" not in event


@pytest.mark.parametrize("make", MAKERS)
def test_a_client_that_leaves_an_upload_is_no_failure(
    telemetry: Telemetry, stored: Stored, recorded: threading.Event, make: Make
) -> None:
    """Who goes away while sending: 499, disconnected, the bytes that came, and neither a 5xx nor an error."""
    with serving(make(telemetry)) as port:
        continued = f"POST /upload/bob HTTP/1.1\nHost: {HOST}\nContent-Length: 10\nExpect: 100-continue\n\nhalf"
        leave(port, continued, b"100 Continue")  # the application has asked for the body
        assert recorded.wait(20)
    (event,) = stored()
    assert (event["path"], event["status"]) == ("/upload/:id", 499)
    assert event["disconnected"]
    assert "error" not in event


SCOPE: dict[str, Any] = {
    "type": "http", "method": "GET", "path": "/x", "headers": [(b"host", HOST.encode())], "query_string": b"",
    "client": None, "root_path": "",
}  # fmt: skip
START = {"type": "http.response.start", "status": 200, "headers": []}
GONE = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def answer(telemetry: Telemetry, app: Any, *inbox: dict[str, Any], cut: int | None = None) -> BaseException | None:
    """Let ``app`` answer; the server refuses the message with the number ``cut``; return what the application raised."""
    messages, sent = iter(inbox), iter(range(1_000))

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(_message: Any) -> None:
        if next(sent) == cut:
            raise ConnectionResetError("the client is gone")

    try:
        asyncio.run(TelemetryMiddleware(app, telemetry)(dict(SCOPE), receive, send))
    except BaseException as error:  # noqa: BLE001 - returned
        return error
    return None


def sending(*messages: dict[str, Any]) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


@pytest.mark.parametrize(
    ("messages", "streamed"),
    [
        ([START, piece(b"all", more=False)], False),
        ([START, piece(b"all"), piece(b"", more=False)], False),
        ([START, piece(b""), piece(b"all", more=False)], False),
        ([START, piece(b"one"), piece(b"two", more=False)], True),
        ([START, piece(b"one"), piece(b"two"), piece(b"", more=False)], True),
    ],
)
def test_a_stream_is_what_comes_in_several_pieces(
    telemetry: Telemetry, stored: Stored, messages: list[dict[str, Any]], streamed: bool
) -> None:
    """An answer in one piece is none, however the framework frames it; nor is either of them a client that left."""
    answer(telemetry, sending(*messages))
    (event,) = stored()
    assert ("streamed_us" in event) is streamed
    assert "disconnected" not in event


def test_a_stream_tells_when_it_began_and_how_long_it_went_on(telemetry: Telemetry, stored: Stored) -> None:
    """The elapsed time of a stream ends with its first piece, so that latencies stay latencies."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        await send(piece(b"one"))
        await asyncio.sleep(0.05)
        await send(piece(b"two", more=False))

    answer(telemetry, app)
    (event,) = stored()
    assert event["streamed_us"] >= 50_000
    assert event["duration_us"] < event["streamed_us"]


def test_a_server_that_refuses_a_message_says_that_the_client_is_gone(telemetry: Telemetry, stored: Stored) -> None:
    """The server's OSError reaches the application unchanged, and what comes back of it is no failure."""
    error = answer(telemetry, sending(START, piece(b"one"), piece(b"two", more=False)), cut=2)
    assert isinstance(error, ConnectionResetError)
    (event,) = stored()
    assert (event["status"], event["disconnected"]) == (200, True)


def test_a_failure_after_the_client_left_is_still_a_failure(telemetry: Telemetry, stored: Stored) -> None:
    """What the application breaks by itself is recorded, whoever is there to see it."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await receive()
        raise LookupError("a bug")

    assert isinstance(answer(telemetry, app, GONE), LookupError)
    assert sorted(event["type"] for event in stored()) == ["api_request", "error"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), BaseExceptionGroup("two", [ConnectionResetError()])])
def test_a_cancelled_request_is_a_client_that_left(telemetry: Telemetry, stored: Stored, error: BaseException) -> None:
    """Servers cancel what nobody waits for; the cancellation passes, and it is 499."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        try:
            await send(START)
        except ConnectionResetError as cut:
            raise BaseExceptionGroup("two", [cut]) from None
        raise error

    cancelled = isinstance(error, asyncio.CancelledError)
    raised = answer(telemetry, app, cut=None if cancelled else 0)
    assert isinstance(raised, asyncio.CancelledError if cancelled else ExceptionGroup)
    (event,) = stored()
    assert event["disconnected"]
    assert "error" not in event


def test_a_cancelled_future_of_the_application_is_its_own_failure(telemetry: Telemetry, stored: Stored) -> None:
    """An exception that is only called like a cancellation is a failure like any other."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise concurrent.futures.CancelledError

    answer(telemetry, app)
    request, error = sorted(stored(), key=lambda event: str(event["type"]))
    assert (request["status"], error["name"]) == (500, "CancelledError")


def test_who_leaves_before_any_route_writes_no_path(telemetry: Telemetry, stored: Stored) -> None:
    """A scanner that hangs up at once must not write our tables either."""

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    answer(telemetry, app, GONE)
    (event,) = stored()
    assert (event["path"], event["status"]) == ("(unmatched)", 499)


def test_a_request_without_an_answer_is_a_failure(telemetry: Telemetry, stored: Stored) -> None:
    """An application that returns without a word has failed: the server says 500 for it."""
    answer(telemetry, sending())
    (event,) = stored()
    assert (event["status"], event.get("disconnected")) == (500, None)


def test_what_the_server_sends_by_itself_is_whole(telemetry: Telemetry, stored: Stored, tmp_path: Any) -> None:
    """A file that the server sends has the file's size; hearing afterwards that the client is gone changes nothing."""
    file = tmp_path / "file"
    file.write_bytes(bytes(1_234))

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.pathsend", "path": str(file)})
        await receive()

    answer(telemetry, app, GONE)
    (event,) = stored()
    assert (event["response_bytes"], event.get("disconnected")) == (1_234, None)
