"""Tracking by hand: from any code, with any request, with any arguments; it returns at once and never raises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from flask import Flask
from flask import request as flask_request
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware, track_choice, track_error, track_feature
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.sdk.record.facts import current

from .conftest import HOST, Stored


def features(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["feature"] for event in events if event["type"] == "feature_usage")


def fastapi_client(telemetry: Telemetry) -> TestClient:
    app = FastAPI()
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)

    @app.get("/async")
    async def asynchronous(request: Request) -> bool:
        request.state.user_id = 7
        awaited = await track_feature(request, "awaited")
        return bool(awaited) and bool(track_feature(request.scope, "by_scope"))

    @app.get("/sync")
    def synchronous(request: Request) -> bool:
        return bool(track_feature(request, "in_sync")) and bool(track_feature(None, "by_context"))

    @app.get("/background")
    def background(request: Request, tasks: BackgroundTasks) -> None:
        tasks.add_task(track_feature, request, "in_background")

    @app.get("/threads")
    async def threads(request: Request) -> None:
        await asyncio.to_thread(track_feature, None, "to_thread")
        await asyncio.gather(*(asyncio.create_task(task(request)) for _ in range(3)))

    async def task(request: Request) -> None:
        await asyncio.sleep(0)
        track_feature(request, "in_task")

    return TestClient(app, base_url=f"http://{HOST}")


def test_every_place_in_an_async_application(telemetry: Telemetry, stored: Stored) -> None:
    """Async and sync routes, awaited or not, background tasks, threads and tasks record with the request they got."""
    client = fastapi_client(telemetry)
    assert client.get("/async").json() is True
    assert client.get("/sync").json() is True
    client.get("/background")
    client.get("/threads")
    found = ["awaited", "by_context", "by_scope", "in_background", "in_sync", *["in_task"] * 3, "to_thread"]
    assert features(stored()) == found


def test_flasks_request_and_its_environ(telemetry: Telemetry, stored: Stored) -> None:
    """Flask's request, which is a proxy, and a bare WSGI environ lead to the request being answered."""
    app = Flask(__name__)
    init_flask(app, telemetry)

    @app.get("/sale/<int:number>")
    def sale(number: int) -> str:
        track_feature(flask_request, "by_request")
        track_feature(flask_request.environ, "by_environ")
        track_error(flask_request, ConnectionError(f"sale {number}"))
        return "ok"

    app.test_client().get("/sale/7", base_url=f"http://{HOST}")
    events = stored()
    assert features(events) == ["by_environ", "by_request"]
    assert [event["path"] for event in events if event["type"] == "error"] == ["/sale/:id"]


def test_outside_any_request(stored: Stored) -> None:
    """Scripts, threads, pools and event loops of their own record without a request."""
    assert track_feature(None, "script")
    thread = threading.Thread(target=track_feature, args=(None, "thread"))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(lambda _: track_feature(None, "pool"), range(3)))

    async def awaited() -> bool:
        return bool(await track_choice("theme", "midnight"))

    assert asyncio.run(awaited())
    assert features(stored()) == ["pool", "pool", "pool", "script", "theme", "thread"]


class Hostile:
    """Raises whatever is asked of it."""

    def _raise(self, *_: object) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = _raise
    __getattr__ = __getitem__ = keys = items = get = _raise


class Bottomless(dict[str, object]):
    """A mapping that never ends."""

    def items(self) -> Any:
        return self

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield ("status", "completed")


class TextlessError(Exception):
    """An exception that raises when its text is asked for."""

    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __repr__ = __str__


def looped() -> Exception:
    """Return an exception that is its own cause, by way of another one."""
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    return first


def nested(depth: int = 100_000) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


HOSTILE: list[object] = [
    None, 0, -1, "", "x" * 1_000_000, "\ud800", "\x00", b"bytes", object(), Hostile, Hostile(), Bottomless(), nested(),
    {"status": Hostile()}, {Hostile: 1}, {1: 2}, {"status": float("nan")}, {"a": 10**5000}, range(10**12), lambda: 1 / 0,
]  # fmt: skip
CALLS: list[Callable[[Any], object]] = [
    lambda bad: track_feature(bad, "feature"),
    lambda bad: track_feature(None, bad),
    lambda bad: track_feature(None, "feature", bad),
    lambda bad: track_feature(None, "feature", {"status": bad}),
    lambda bad: track_error(bad, ValueError("x")),
    lambda bad: track_error(None, bad),
    lambda bad: track_error(None, ValueError(bad)),
    lambda bad: track_error(None, ValueError("x"), bad),
    lambda bad: track_choice(bad, "midnight"),
    lambda bad: track_choice("theme", bad),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("call", range(len(CALLS)))
def test_no_argument_raises_or_hangs(telemetry: Telemetry, call: int) -> None:
    """Whatever is handed to a tracking call, it answers yes or no; the failures are counted."""
    for bad in HOSTILE:
        assert bool(CALLS[call](bad)) in {True, False}
    telemetry.failures.clear()


@pytest.mark.parametrize(
    "error", [TextlessError("x"), TextlessError(Hostile()), looped(), ExceptionGroup("g", [looped()])]
)
def test_exceptions_that_cannot_be_read_are_still_recorded(
    telemetry: Telemetry, stored: Stored, error: Exception
) -> None:
    """An exception without a text, and one that goes round in circles, is recorded with its class."""
    assert track_error(None, error)
    assert [event["name"] for event in stored()] == [type(error).__name__]
    assert not telemetry.failures


def test_the_telemetry_of_the_request_is_meant(telemetry: Telemetry, tmp_path: Path) -> None:
    """Where a process has several applications, what happens in a request goes to the telemetry around it."""
    newer = Telemetry(replace(telemetry.settings, home=tmp_path / "newer"))
    assert fastapi_client(telemetry).get("/sync").json() is True
    assert telemetry.pipeline is not None
    assert newer.pipeline is not None
    assert (telemetry.pipeline.spool.books.recorded, newer.pipeline.spool.books.recorded) == (3, 0)
    assert track_feature(None, "outside")
    assert newer.pipeline.spool.books.recorded == 1
    newer.close()


def test_without_any_telemetry_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that tracks runs the same where nobody has created telemetry."""
    monkeypatch.setattr("calos_telemetry.sdk.telemetry._living", [])
    assert current.get() is None
    assert not track_feature(None, "feature")
    assert not track_error(None, ValueError("x"))
    assert not track_choice("theme", "midnight")
    assert not asyncio.run(_awaited())


async def _awaited() -> bool:
    return bool(await track_feature(None, "feature"))
