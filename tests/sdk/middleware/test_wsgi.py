"""The WSGI middleware: what it records, and that neither application nor server notices it."""

from __future__ import annotations

import http.client
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from calos_telemetry import Telemetry
from calos_telemetry.sdk.middleware.wsgi import ROUTE, TelemetryWsgiMiddleware, number_in

from ..conftest import HOST, Stored

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
PLAIN = (("Content-Type", "text/plain"),)  # handed out as a new list each time: servers add to it


class Closing:
    """An iterable that counts how often it is closed."""

    def __init__(self, *chunks: bytes, broken: bool = False) -> None:
        self.chunks = chunks
        self.broken = broken
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.broken:
            raise OSError("cut")

    def close(self) -> None:
        self.closed += 1


def of_one_chunk(_environ: Any, start: Any) -> Iterable[bytes]:
    start("200 OK", [*PLAIN])
    return [b"hello"]


def of_a_generator(_environ: Any, start: Any) -> Iterable[bytes]:
    start("200 OK", [*PLAIN])  # not before the first chunk is asked for
    yield b"a"
    yield b"bc"


def of_write(_environ: Any, start: Any) -> Iterable[bytes]:
    start("200 OK", [*PLAIN])(b"written ")
    return [b"and returned"]


def of_a_second_start(_environ: Any, start: Any) -> Iterable[bytes]:
    start("200 OK", [*PLAIN])
    try:
        raise ValueError("too late")
    except ValueError as error:
        start("500 Oh no", [*PLAIN], (type(error), error, error.__traceback__))
    return [b"sorry"]


def failing_at_once(_environ: Any, _start: Any) -> Iterable[bytes]:
    raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])


def failing_late(_environ: Any, start: Any) -> Iterable[bytes]:
    start("200 OK", [*PLAIN])
    return Closing(b"a", broken=True)


def of_nothing(_environ: Any, start: Any) -> Iterable[bytes]:
    start("204 No Content", [])
    return []


@dataclass
class Seen:
    """What a server sees of an answer."""

    starts: list[Any] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    length: int | None = None
    error: str | None = None


def serve(app: App, **environ: Any) -> Seen:
    """Do what a server does with a request."""
    seen = Seen()

    def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        seen.starts.append((status, headers, exc_info is not None))
        return seen.written.append

    body: Any = None
    try:
        body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "HTTP_HOST": HOST, **environ}, start)
        seen.length = len(body) if hasattr(body, "__len__") else None
        seen.chunks.extend(body)
    except Exception as error:  # noqa: BLE001 - compared below
        seen.error = repr(error)
    finally:
        getattr(body, "close", lambda: None)()
    return seen


APPS: list[App] = [of_one_chunk, of_a_generator, of_write, of_a_second_start, failing_at_once, failing_late, of_nothing]


@pytest.mark.parametrize("app", APPS)
def test_the_server_sees_the_same_with_and_without_us(telemetry: Telemetry, app: App) -> None:
    """Status, headers, exc_info, chunks, written bytes, known length and exceptions are those of the application."""
    assert serve(TelemetryWsgiMiddleware(app, telemetry)) == serve(app)


@pytest.mark.parametrize(
    ("app", "status", "size"),
    [
        (of_one_chunk, 200, 5),
        (of_a_generator, 200, 3),
        (of_write, 200, 20),
        (of_a_second_start, 500, 5),
        (of_nothing, 204, 0),
    ],
)
def test_status_and_bytes_are_counted(telemetry: Telemetry, stored: Stored, app: App, status: int, size: int) -> None:
    """The recorded status is the last one started, the size that of all chunks, written or returned."""
    serve(TelemetryWsgiMiddleware(app, telemetry))
    (event,) = stored()
    assert (event["status"], event.get("response_bytes", 0)) == (status, size)
    assert event["duration_us"] >= 0


@pytest.mark.parametrize(
    ("app", "status", "name"), [(failing_at_once, 500, "ExceptionGroup"), (failing_late, 200, "OSError")]
)
def test_exceptions_are_recorded_and_passed_on(
    telemetry: Telemetry, stored: Stored, app: App, status: int, name: str
) -> None:
    """An exception before or after the first byte is recorded once, with the status the client saw."""
    serve(TelemetryWsgiMiddleware(app, telemetry))
    request, error = sorted(stored(), key=lambda event: event["type"])
    assert (request["status"], error["name"]) == (status, name)


def test_close_is_passed_on_once(telemetry: Telemetry, stored: Stored) -> None:
    """The application's iterable is closed as often as the server closes, also when the client left half way."""
    body = Closing(b"a", b"b", b"c")

    def app(_environ: Any, start: Any) -> Iterable[bytes]:
        start("200 OK", [*PLAIN])
        return body

    answer: Any = TelemetryWsgiMiddleware(app, telemetry)({"REQUEST_METHOD": "GET", "HTTP_HOST": HOST}, lambda *_: None)
    assert next(iter(answer)) == b"a"
    answer.close()
    assert body.closed == 1
    assert [event["response_bytes"] for event in stored()] == [1]


def test_the_servers_file_wrapper_reaches_the_server(telemetry: Telemetry, stored: Stored) -> None:
    """What the server's own wrapper was put around comes back as that wrapper, so that the server may use sendfile."""
    file = io.BytesIO(b"0123456789")

    def app(environ: Any, start: Any) -> Iterable[bytes]:
        start("200 OK", [*PLAIN, ("Content-Length", "10")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    environ = {"REQUEST_METHOD": "GET", "HTTP_HOST": HOST, "wsgi.file_wrapper": FileWrapper}
    answer: Any = TelemetryWsgiMiddleware(app, telemetry)(environ, lambda *_: None)
    assert isinstance(answer, FileWrapper)
    assert answer.filelike is file
    answer.close()
    assert file.closed
    assert [event["response_bytes"] for event in stored()] == [10]


@pytest.mark.parametrize("app", [of_one_chunk, of_a_generator, of_nothing])
def test_the_middleware_keeps_to_the_standard(telemetry: Telemetry, app: App) -> None:
    """The standard library's validator finds nothing wrong with us, seen from the server and from the application."""
    environ = {
        "SERVER_NAME": "shop", "SERVER_PORT": "80", "SCRIPT_NAME": "", "QUERY_STRING": "", "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.multithread": False,
        "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1",
    }  # fmt: skip
    standard: Any = validator(TelemetryWsgiMiddleware(validator(app), telemetry))
    assert serve(standard, **environ).error is None


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def running(app: Any) -> Iterator[int]:
    """Run a real server; yield its port."""
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("app", [of_one_chunk, of_a_generator, of_nothing])
def test_a_real_server_sends_the_same_headers(telemetry: Telemetry, app: App) -> None:
    """The standard library's server announces the same length with and without us."""

    def answer(application: Any) -> list[tuple[str, str]]:
        with running(application) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/")
            reply = connection.getresponse()
            reply.read()
            connection.close()
            return [(name, value) for name, value in reply.getheaders() if name != "Date"]

    assert answer(TelemetryWsgiMiddleware(app, telemetry)) == answer(app)


def test_an_adapter_names_route_user_and_session(telemetry: Telemetry, stored: Stored, tmp_path: Path) -> None:
    """What a framework's adapter leaves in the environ is the template, the user and the session, hashed."""

    def app(environ: Any, start: Any) -> Iterable[bytes]:
        environ |= {ROUTE: "/sale/<int:number>", "calos.user": "alice@acme.example", "calos.session": "cookie-of-alice"}
        return of_one_chunk(environ, start)

    serve(TelemetryWsgiMiddleware(app, telemetry), PATH_INFO="/sale/4711")
    (event,) = stored()
    assert event["path"] == "/sale/:id"
    assert len(event["user"]) == len(event["session"]) == 16
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (b"alice", b"acme", b"4711", b"cookie-of"):
        assert secret not in written


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTENT_LENGTH": "²"}, {"CONTENT_LENGTH": "9" * 5_000}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": ""},
        {"HTTP_HOST": "\xff" * 10_000}, {"PATH_INFO": "/\xff\x00" * 1_000}, {"REQUEST_METHOD": "BREW"},
        {"HTTP_USER_AGENT": "\xff" * 10_000},
    ],
)  # fmt: skip
def test_no_request_is_too_strange(telemetry: Telemetry, environ: dict[str, str]) -> None:
    """Whatever a visitor sends, the application answers, and nothing of ours fails."""
    assert serve(TelemetryWsgiMiddleware(of_one_chunk, telemetry), **environ) == serve(of_one_chunk, **environ)


def test_a_broken_start_is_the_servers_business(telemetry: Telemetry) -> None:
    """Headers that are none reach the server as they are; that we cannot read them is counted."""

    def app(_environ: Any, start: Any) -> Iterable[bytes]:
        start("fine", [("A", 1)])
        return [b""]

    assert serve(TelemetryWsgiMiddleware(app, telemetry)) == serve(app)
    assert telemetry.failures.pop("ValueError") == 1


def test_a_failure_of_ours_never_reaches_the_application(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """When recording itself breaks, the answer is the same and the failure is counted."""
    monkeypatch.setattr(telemetry.pipeline, "request", lambda _facts: 1 / 0)
    assert serve(TelemetryWsgiMiddleware(of_one_chunk, telemetry)) == serve(of_one_chunk)
    assert telemetry.failures.pop("ZeroDivisionError") == 1


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("", 0), (None, 0), ("٢", 0), ("1_0", 0), ("+5", 0), ("9" * 99, 0)]
)
def test_a_length_is_read_or_it_is_none(text: str | None, number: int) -> None:
    """A Content-Length is plain digits of a sensible number, or it counts as none."""
    assert number_in(text) == number
