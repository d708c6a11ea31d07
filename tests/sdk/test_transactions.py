"""Transactions: in every kind of code, nested, failed, outside requests; and never in the application's way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware, track_choice, track_feature, track_transaction

from .conftest import HOST, Stored


class Hostile:
    """An object that raises whatever is asked of it."""

    def _raise(self, *_: object) -> Any:
        raise RuntimeError("hostile")

    __bool__ = __len__ = __iter__ = __hash__ = __eq__ = __str__ = __repr__ = __getattr__ = _raise


def transactions(stored: Stored) -> list[tuple[str, bool, str | None]]:
    """Return name, success and category of each stored transaction, sorted."""
    found = [event for event in stored() if event["type"] == "performance"]
    return sorted((event["name"], event.get("success", True), event.get("error")) for event in found)


def test_it_is_a_context_manager_and_a_decorator_in_sync_and_async_code(stored: Stored) -> None:
    """``with``, ``async with`` and decorated functions, coroutines, generators and async generators are each recorded."""

    @track_transaction("sync")
    def sync(value: int) -> int:
        return value

    @track_transaction("coroutine")
    async def coroutine(value: int) -> int:
        return value

    @track_transaction("generator")
    def generator() -> Iterator[int]:
        yield 1

    @track_transaction("stream")
    async def stream() -> AsyncIterator[int]:
        yield 2

    async def main() -> list[int]:
        async with track_transaction("async with"):
            return [await coroutine(3), *[item async for item in stream()]]

    with track_transaction("with"):
        assert (sync(4), list(generator()), asyncio.run(main())) == (4, [1], [3, 2])
    names = [name for name, _, _ in transactions(stored)]
    assert names == ["async_with", "coroutine", "generator", "stream", "sync", "with"]
    assert (sync.__name__, coroutine.__name__) == ("sync", "coroutine")


def test_a_failed_transaction_has_a_category_and_its_exception_goes_on(stored: Stored) -> None:
    """The exception is the very same object; each of two nested transactions fails with the category of that exception."""
    error = TimeoutError("bob@acme.example")
    with pytest.raises(TimeoutError) as caught, track_transaction("checkout"), track_transaction("payment"):
        raise error
    assert caught.value is error
    assert transactions(stored) == [("checkout", False, "timeout"), ("payment", False, "timeout")]
    assert "bob" not in str(stored())


def test_a_transaction_can_fail_without_an_exception(stored: Stored) -> None:
    """What the application says of a failure is kept when it is in the list of categories, and is other when not."""
    for category in ("payment", "bob@acme.example", Hostile()):
        with track_transaction("checkout") as transaction:
            transaction.fail(category)  # type: ignore[arg-type]
    assert transactions(stored) == [
        ("checkout", False, "other"),
        ("checkout", False, "other"),
        ("checkout", False, "payment"),
    ]


def test_the_duration_is_that_of_the_block(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """The duration is what the clock says between entering and leaving, in µs."""
    ticks = iter((1_000_000, 2_500_000, 3_500_000, 9_000_000))
    monkeypatch.setattr("calos_telemetry.sdk.transactions.perf_counter_ns", lambda: next(ticks))
    with track_transaction("outer"), track_transaction("inner"):
        pass
    durations = {event["name"]: event["duration_us"] for event in stored() if event["type"] == "performance"}
    assert durations == {"inner": 1_000, "outer": 8_000}


def test_requests_threads_and_background_tasks(telemetry: Telemetry, stored: Stored) -> None:
    """Tracking works in an endpoint, in a thread that carries its context or not, and in a task after the response."""

    def work(name: str) -> None:
        with track_transaction(name):
            track_feature(None, f"feature_{name}")

    async def endpoint(_request: Request) -> Response:
        carried = threading.Thread(target=copy_context().run, args=(work, "carried"))
        plain = threading.Thread(target=work, args=("plain",))
        for thread in (carried, plain):
            thread.start()
            thread.join()
        return PlainTextResponse("ok", background=BackgroundTask(work, "background"))

    app = TelemetryMiddleware(Starlette(routes=[Route("/", endpoint)]), telemetry)
    assert TestClient(app, base_url=f"http://{HOST}").get("/").text == "ok"
    assert [name for name, _, _ in transactions(stored)] == ["background", "carried", "plain"]
    used = sorted(event["feature"] for event in stored() if event["type"] == "feature_usage")
    assert used == ["feature_background", "feature_carried", "feature_plain"]


@pytest.mark.parametrize(
    "odd", [None, 7, b"x", object(), Hostile, "x" * 100_000, "\ud800", float("nan")], ids=lambda odd: type(odd).__name__
)
def test_odd_arguments_never_raise(telemetry: Telemetry, odd: Any) -> None:
    """Whatever is given as name, value or request, nothing is raised into the application."""
    odd = odd() if odd is Hostile else odd
    with track_transaction(odd):
        pass
    track_choice(odd, odd)
    track_feature(odd, odd, odd)
    telemetry.failures.clear()  # counted, which is what the boundary is for


def test_without_telemetry_everything_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no telemetry was created, tracking does nothing and says so."""
    monkeypatch.setattr("calos_telemetry.sdk.telemetry._living", [])
    with track_transaction("checkout"):
        assert not track_choice("theme", "dark")


def test_choices_are_kept_when_they_are_declared(stored: Stored) -> None:
    """A built-in choice is kept with its value, a value nobody declared is [REDACTED]; awaiting changes nothing."""

    async def choose() -> bool:
        return bool(await track_choice("theme", "dark"))

    assert asyncio.run(choose())
    assert track_choice("theme", "bob-from-acme")
    assert sorted(str(event["metadata"]) for event in stored()) == ["{'theme': '[REDACTED]'}", "{'theme': 'dark'}"]
