"""Exceptions nobody caught, and errors in the log: recorded once, hooks chained and taken out again, nothing in the way."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware, track_error
from calos_telemetry.sdk.instrument.hooks import TelemetryLogHandler

from ..conftest import HOST, Stored


@pytest.fixture
def hooks() -> Iterator[list[Any]]:
    """Quiet hooks in the place of Python's and pytest's own, and what they were called with."""
    called: list[Any] = []
    before = sys.excepthook, threading.excepthook
    sys.excepthook = lambda *arguments: called.append(arguments)
    threading.excepthook = called.append
    yield called
    sys.excepthook, threading.excepthook = before


@pytest.fixture
def log(telemetry: Telemetry) -> Iterator[logging.Logger]:
    logger, handler = logging.getLogger("shop.pay"), TelemetryLogHandler(telemetry)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def errors(stored: Stored) -> list[tuple[str, str]]:
    return sorted((event["name"], event["category"]) for event in stored() if event["type"] == "error")


def fail(error: BaseException) -> None:
    raise error


def in_a_thread(error: BaseException) -> None:
    thread = threading.Thread(target=fail, args=(error,))
    thread.start()
    thread.join()


def in_the_main_thread(error: BaseException) -> None:
    """Do what the interpreter does with an exception that leaves the program."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        sys.excepthook(type(caught), caught, caught.__traceback__)


def test_lost_exceptions_are_recorded_and_go_on_to_the_hook_before(
    telemetry: Telemetry, stored: Stored, hooks: list[Any]
) -> None:
    """Main thread and other threads: recorded, and the hook that was there gets the same arguments."""
    before = sys.excepthook, threading.excepthook
    end = telemetry.watch_exceptions()
    main, other = TimeoutError("bob@acme.example"), ConnectionError("bob@acme.example")
    in_the_main_thread(main)
    in_a_thread(other)
    end()
    end()
    assert (sys.excepthook, threading.excepthook) == before
    in_a_thread(ValueError("after the end"))
    assert errors(stored) == [("ConnectionError", "network"), ("TimeoutError", "timeout")]
    assert (hooks[0][1], hooks[1].exc_value) == (main, other)
    assert "bob" not in str(stored())


def test_leaving_on_purpose_is_no_failure(telemetry: Telemetry, stored: Stored, hooks: list[Any]) -> None:
    """KeyboardInterrupt and SystemExit are handed on and not recorded."""
    end = telemetry.watch_exceptions()
    in_the_main_thread(KeyboardInterrupt())
    in_the_main_thread(SystemExit(1))
    in_a_thread(SystemExit(0))
    end()
    assert (errors(stored), len(hooks)) == ([], 3)


def test_a_hook_chained_on_to_ours_stays(telemetry: Telemetry, stored: Stored, hooks: list[Any]) -> None:
    """When somebody has chained on to us, ending takes us out of the recording and leaves them and the first hook."""
    end = telemetry.watch_exceptions()
    ours, seen = sys.excepthook, []

    def chained(kind: Any, error: BaseException, at: Any) -> None:
        seen.append(error)
        ours(kind, error, at)

    sys.excepthook = chained
    end()
    assert sys.excepthook is chained
    in_the_main_thread(ValueError("x"))
    assert (errors(stored), len(seen), len(hooks)) == ([], 1, 1)


def test_an_event_loop_is_watched_when_asked(telemetry: Telemetry, stored: Stored) -> None:
    """What a callback of the loop loses is recorded and handed on to the loop's own handler; after the end it is as before."""
    seen: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: seen.append(context["exception"]))
        before = loop.get_exception_handler()
        end = telemetry.watch_exceptions(loop)
        done = asyncio.Event()
        loop.call_soon(fail, TimeoutError("late"))
        loop.call_soon(done.set)
        await done.wait()
        end()
        assert loop.get_exception_handler() is before

    asyncio.run(main())
    assert (errors(stored), len(seen)) == ([("TimeoutError", "timeout")], 1)


_PROGRAM = """
from calos_telemetry import Settings, Telemetry
telemetry = Telemetry()
telemetry.watch_exceptions()
raise RuntimeError("the last words of bob@acme.example")
"""


def test_the_last_exception_of_a_program_survives_it(tmp_path: Path) -> None:
    """A program that dies of an exception prints its traceback as ever, and the failure is in the spool."""
    environment = {
        **os.environ, "CALOS_HOME": str(tmp_path), "CALOS_PUBLIC_HOST": HOST, "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 1
    assert ran.stderr.rstrip().endswith("RuntimeError: the last words of bob@acme.example")
    spooled = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
    assert b"RuntimeError" in spooled
    assert b"bob" not in spooled


def test_the_log_gives_the_template_and_never_the_arguments(
    telemetry: Telemetry, stored: Stored, log: logging.Logger
) -> None:
    """An ERROR record becomes a failure with the template of its message and its place; below ERROR nothing is recorded."""
    log.error("payment of %s timed out after %d s", "alice@acme.example", 4711)
    log.warning("careful, %s", "alice")
    log.error(object())
    template, other = sorted((e for e in stored() if e["type"] == "error"), key=lambda e: e["category"], reverse=True)
    assert (template["name"], template["category"]) == ("log:shop.pay", "timeout")
    assert "timed out after" in template["message"]
    assert template["stack"].split("\n")[1].startswith("test_hooks:test_the_log_gives")
    assert other["message"] == "object"
    for secret in ("alice", "4711"):
        assert secret not in str(stored())
    assert isinstance(telemetry, Telemetry)


def test_an_exception_is_one_failure_however_often_it_comes_by(
    telemetry: Telemetry, stored: Stored, log: logging.Logger
) -> None:
    """Tracked by hand, logged, and then seen by the middleware: one failure; the next exception is another one."""

    async def endpoint(request: Request) -> Response:
        try:
            raise TimeoutError("x")
        except TimeoutError as error:
            track_error(request, error)
            log.exception("it broke")
            raise

    app = TelemetryMiddleware(Starlette(routes=[Route("/", endpoint)]), telemetry)
    client = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)
    assert [client.get("/").status_code for _ in range(2)] == [500, 500]
    assert errors(stored) == [("TimeoutError", "timeout")] * 2


def test_an_exception_shared_by_two_requests_fails_both(telemetry: Telemetry, stored: Stored) -> None:
    """One exception object that ends two requests is a failure of each."""
    shared = TimeoutError("x")

    async def endpoint(_request: Request) -> Response:
        raise shared

    app = TelemetryMiddleware(Starlette(routes=[Route("/", endpoint)]), telemetry)
    client = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)
    for _ in range(2):
        client.get("/")
    assert len(errors(stored)) == 2


def test_recording_that_logs_does_not_recurse(
    telemetry: Telemetry, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When recording breaks and logs, from our logger or from inside, the handler does not call itself."""
    calls: list[str] = []

    def broken(*_arguments: object) -> bool:
        calls.append("once")
        log.error("from inside")
        raise RuntimeError("recording breaks")

    assert telemetry.pipeline is not None
    monkeypatch.setattr(telemetry.pipeline, "logged", broken)
    own, handler = logging.getLogger("calos_telemetry"), TelemetryLogHandler(telemetry)
    own.addHandler(handler)
    try:
        log.error("outside")
        own.error("ours")
    finally:
        own.removeHandler(handler)
    assert calls == ["once"]
    assert telemetry.failures.pop("RuntimeError") == 1
