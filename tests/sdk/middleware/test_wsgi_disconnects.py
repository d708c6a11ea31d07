"""Clients that go away under WSGI, answers in pieces, and request bodies counted as they are read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry import Telemetry
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.sdk.middleware.wsgi import TelemetryWsgiMiddleware
from calos_telemetry.sdk.middleware.wsgi_input import CountedInput
from calos_telemetry.sdk.record.facts import RequestFacts
from calos_telemetry.sdk.record.pipeline import Pipeline

from ..conftest import HOST, Stored

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def begin(
    telemetry: Telemetry, app: App, *, write: Callable[[bytes], object] = len, body: object = None, **environ: Any
) -> Any:
    """Ask ``app`` as a server does; return its body."""
    around = TelemetryWsgiMiddleware(app, telemetry)
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "HTTP_HOST": HOST, "wsgi.input": body, **environ}
    return around(asked, lambda *_: write)


def answering(*chunks: bytes, headers: tuple[tuple[str, str], ...] = (), status: str = "200 OK") -> App:
    def app(_environ: Any, start: Any) -> Iterable[bytes]:
        start(status, list(headers))
        return chunks

    return app


@pytest.mark.parametrize(
    ("chunks", "streamed"),
    [((b"all",), False), ((b"", b"all", b""), False), ((b"one", b"two"), True), ((), False)],
)
def test_a_stream_is_what_comes_in_several_pieces(
    telemetry: Telemetry, stored: Stored, chunks: tuple[bytes, ...], streamed: bool
) -> None:
    """An answer in one piece is no stream, and one that is read to its end has no client that left."""
    body = begin(telemetry, answering(*chunks))
    assert tuple(body) == chunks
    body.close()
    (event,) = stored()
    assert ("streamed_us" in event, "disconnected" in event) == (streamed, False)


def test_a_response_that_is_closed_before_its_end_has_lost_its_client(telemetry: Telemetry, stored: Stored) -> None:
    """A server closes a generator half way when nobody reads any more: 200, disconnected, streamed so far, no failure."""

    def app(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"first"
        raise AssertionError("nobody reads on")

    body = begin(telemetry, app)
    assert next(iter(body)) == b"first"
    body.close()
    (event,) = stored()
    assert (event["status"], event["disconnected"], event["response_bytes"]) == (200, True, 5)
    assert event["streamed_us"] >= 0


@pytest.mark.parametrize(
    ("app", "environ"),
    [
        (answering(b"a", b"b"), {"REQUEST_METHOD": "HEAD"}),
        (answering(b"a", b"b", status="304 Not Modified"), {}),
        (answering(b"a", b"b", headers=(("Content-Length", "1"),)), {}),
    ],
)
def test_what_a_server_need_not_read_is_whole(
    telemetry: Telemetry, stored: Stored, app: App, environ: dict[str, Any]
) -> None:
    """For HEAD, without a body and beyond the announced length a server stops by itself: nobody has left."""
    body = begin(telemetry, app, **environ)
    next(iter(body))
    body.close()
    (event,) = stored()
    assert "disconnected" not in event


def test_a_write_that_fails_is_a_client_that_left(telemetry: Telemetry, stored: Stored) -> None:
    """The server's OSError in ``write`` reaches the application unchanged, and is no failure of it."""

    def gone(_data: bytes) -> None:
        raise BrokenPipeError("the client is gone")

    def app(_environ: Any, start: Any) -> Iterable[bytes]:
        start("200 OK", [])(b"first")
        return ()

    with pytest.raises(BrokenPipeError, match="the client is gone"):
        begin(telemetry, app, write=gone)
    (event,) = stored()
    assert (event["type"], event["status"], event["disconnected"]) == ("api_request", 200, True)


class Failing(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise ConnectionResetError("the client is gone")


def reading(environ: Any, start: Any) -> Iterable[bytes]:
    size = len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start("200 OK", [])
    return [str(size).encode()]


def test_an_upload_that_breaks_is_a_client_that_left(telemetry: Telemetry, stored: Stored) -> None:
    """What the server raises while the body is read passes unchanged: 499, disconnected, no failure."""
    with pytest.raises(ConnectionResetError):
        begin(telemetry, reading, REQUEST_METHOD="POST", CONTENT_LENGTH="10", body=Failing())
    (event,) = stored()
    assert (event["type"], event["status"], event["disconnected"]) == ("api_request", 499, True)


@pytest.mark.parametrize(("sent", "expected", "left"), [(b"0123456789", (200, 10), False), (b"01234", (499, 5), True)])
def test_an_upload_to_flask(
    telemetry: Telemetry, stored: Stored, sent: bytes, expected: tuple[int, int], left: bool
) -> None:
    """A whole body is counted; of one that ends too early Flask makes a 400 that nobody sees, which is 499."""
    app = Flask(__name__)

    @app.post("/upload")
    def upload() -> str:
        return str(len(request.get_data()))

    init_flask(app, telemetry)
    app.test_client().post(
        "/upload",
        base_url=f"http://{HOST}",
        input_stream=io.BytesIO(sent),
        environ_overrides={"CONTENT_LENGTH": "10"},
        buffered=True,
    )
    (event,) = stored()
    assert (event["type"], event["status"], event["request_bytes"]) == ("api_request", *expected)
    assert event.get("disconnected", False) is left


def test_a_failure_that_follows_a_departure_is_the_clients(telemetry: Telemetry, stored: Stored) -> None:
    """What an application answers to half a body is 499, whatever it makes of it: nobody is there to see it."""

    def app(environ: Any, start: Any) -> Iterable[bytes]:
        complete = len(environ["wsgi.input"].read()) == int(environ["CONTENT_LENGTH"])
        start("200 OK" if complete else "400 Bad Request", [])
        return [b""]

    tuple(asked := begin(telemetry, app, REQUEST_METHOD="POST", CONTENT_LENGTH="10", body=io.BytesIO(b"half")))
    asked.close()
    (event,) = stored()
    assert (event["status"], event["disconnected"], event.get("error")) == (499, True, None)


def test_the_header_alone_counts_for_nothing(telemetry: Telemetry, stored: Stored) -> None:
    """A body that the application never reads has no bytes, whatever its length claims to be."""
    tuple(begin(telemetry, answering(b"ok"), CONTENT_LENGTH="999", body=io.BytesIO(b"x")))
    begin(telemetry, answering(b"ok"), CONTENT_LENGTH="999", body=io.BytesIO(b"x")).close()
    assert all("request_bytes" not in event for event in stored())


class Plain:
    """A server's input that can do what the standard asks for, and no more (gunicorn's is one)."""

    def __init__(self, body: bytes) -> None:
        stream = io.BytesIO(body)
        self.read, self.readline, self.readlines, self.__iter__ = (
            stream.read, stream.readline, stream.readlines, stream.__iter__,
        )  # fmt: skip


def counting(stream: object, announced: int) -> tuple[CountedInput, RequestFacts]:
    facts = RequestFacts(cast("Pipeline", SimpleNamespace(spans=False)), 0, "POST", "/", "")
    return CountedInput(stream, facts, announced), facts


@pytest.mark.parametrize("name", ["readinto", "read1", "seek", "fileno", "close"])
def test_what_a_servers_input_cannot_do_is_missing(name: str) -> None:
    """Readers look whether a method is there: one that the server's own input lacks must be lacking."""
    counted, _ = counting(Plain(b"x"), 1)
    assert not hasattr(counted, name)
    assert hasattr(counting(io.BytesIO(b"x"), 1)[0], name)


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: io.TextIOWrapper(stream).read().encode(),
        lambda stream: io.BufferedReader(stream).read(),
        lambda stream: stream.read1(),
        lambda stream: b"".join(iter(lambda: next(stream, b""), b"")),
    ],
    ids=["as text", "buffered", "read1", "next"],
)
def test_every_way_to_read_is_counted(read: Callable[[Any], bytes]) -> None:
    """The standard library's readers around the body get all of it, and all of it is counted."""
    counted, facts = counting(io.BytesIO(b"one\ntwo\n"), 8)
    assert read(counted) == b"one\ntwo\n"
    assert (facts.request_bytes, facts.disconnected) == (8, False)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from([(), (-1,), (None,), (0,), (1,), (3,), (100,)])),
        st.tuples(st.just("readline"), st.sampled_from([(), (-1,), (0,), (2,), (100,)])),
        st.tuples(st.just("readlines"), st.sampled_from([(), (1,), (100,)])),
        st.tuples(st.just("tell"), st.just(())),
    ),
    max_size=8,
)


@given(body=st.binary(max_size=20).map(lambda some: some.replace(b"\x00", b"\n")), steps=STEPS, at_last=st.booleans())
def test_the_counted_body_reads_as_the_servers_own(
    body: bytes, steps: list[tuple[str, tuple[Any, ...]]], at_last: bool
) -> None:
    """Whatever is called in whatever order, the same comes back as without us, and what came is what was counted."""
    counted, facts = counting(io.BytesIO(body), len(body))
    bare = io.BytesIO(body)
    for name, arguments in steps:
        assert getattr(counted, name)(*arguments) == getattr(bare, name)(*arguments)
        assert facts.request_bytes == bare.tell()
    if at_last:
        assert list(counted) == list(bare)
    assert facts.request_bytes == bare.tell()
    assert not facts.disconnected
