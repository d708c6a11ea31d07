"""Django under WSGI and ASGI: what is recorded, and that we ask its database for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..conftest import HOST

SHOP = Path(__file__).with_name("shop_django.py")
STACKS = ("sync", "async")


@dataclass
class Found:
    """What the shop answered, and what was stored of it."""

    answers: list[dict[str, Any]]
    events: list[dict[str, Any]]
    failures: dict[str, int]
    queries: int
    written: bytes

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


def ask(home: Path, stack: str, *calls: dict[str, Any]) -> Found:
    """Start the shop, let it ask itself ``calls``, and return what came of it; nothing of ours may have failed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
    env = {
        **clean,
        "CALOS_HOME": str(home / "home"),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
        "TMPDIR": str(home),
    }
    command = [sys.executable, "-W", "error", str(SHOP), stack, json.dumps(calls)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    written = b"".join(path.read_bytes() for path in (home / "home").rglob("*") if path.is_file())
    found = Found(**json.loads(done.stdout), written=written)
    assert not found.failures, done.stderr
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_routes_are_djangos_own(tmp_path: Path, stack: str) -> None:
    """Path converters, included prefixes, regular expressions and groups without a name give templates, not values."""
    wanted = {
        "/api/pos/4711": "/api/pos/:id",
        "/api/async/bob/": "/api/async/:id",
        "/api/archive/2025/bob": "/api/archive/:id/:id",
        "/legacy/4711/": "/legacy/:id",
        "/lazy": "/lazy",
        "/nowhere/bob": "(unmatched)",
        "/missing": "/missing",
    }
    found = ask(tmp_path, stack, *({"path": path} for path in wanted))
    assert [event["path"].removesuffix("/") for event in found.of("api_request")] == list(wanted.values())
    assert [answer["status"] for answer in found.answers] == [201, 200, 200, 200, 200, 404, 404]
    assert not found.of("error")


@pytest.mark.parametrize("stack", STACKS)
def test_a_request_becomes_an_obfuscated_event(tmp_path: Path, stack: str) -> None:
    """Method, status, sizes, kind of page and features are recorded from sync and async views; no name is written."""
    found = ask(
        tmp_path,
        stack,
        {"path": "/api/pos/4711?card=4111111111111111", "method": "POST", "body": "12345678"},
        {"path": "/api/async/bob/"},
    )
    sale, page = found.of("api_request")
    assert (sale["method"], sale["status"], sale["request_bytes"]) == ("POST", 201, 8)
    assert sale["response_bytes"] == len(found.answers[0]["body"])
    assert [event["feature"] for event in found.of("feature_usage")] == ["receipt_printed", "awaited"]
    assert page["style"] == "page"
    for secret in (b"4711", b"41111111", b"bob"):
        assert secret not in found.written


@pytest.mark.parametrize("stack", STACKS)
def test_user_and_session_are_those_the_application_asked_for(tmp_path: Path, stack: str) -> None:
    """A user that a view looked at is hashed, from sync and async views alike, with the session; without one, neither."""
    found = ask(tmp_path, stack, {"path": "/who", "login": True}, {"path": "/who/async"})
    events = found.of("api_request")
    assert [answer["body"] for answer in found.answers] == ["known", "known"]
    assert len({event["user"] for event in events}) == len({event["session"] for event in events}) == 1
    assert all(len(event["user"]) == len(event["session"]) == 16 for event in events)
    assert b"alice" not in found.written
    nobody = ask(tmp_path / "nobody", stack, {"path": "/who"})
    assert "user" not in nobody.of("api_request")[0]


@pytest.mark.parametrize("stack", STACKS)
def test_we_never_ask_the_database_who_it_was(tmp_path: Path, stack: str) -> None:
    """A view that does not look at the user costs no query, although a visitor is logged in."""
    alone = ask(tmp_path / "alone", stack, {"path": "/tier", "login": True})
    views = ["/lazy", "/lazy/async"] * 2
    found = ask(tmp_path / "with", stack, {"path": "/lazy", "login": True}, *({"path": view} for view in views))
    assert found.queries == alone.queries
    assert "user" not in found.of("api_request")[-1]


@pytest.mark.parametrize("stack", STACKS)
def test_an_unhandled_exception_is_recorded_once(tmp_path: Path, stack: str) -> None:
    """An exception of a view, sync or async, is one failure with its template, and without the names in it."""
    found = ask(tmp_path, stack, {"path": "/broken/bob"}, {"path": "/broken/async/bob"})
    assert [error["path"] for error in found.of("error")] == ["/broken/:id", "/broken/async/:id"]
    assert {(error["category"], error["name"]) for error in found.of("error")} == {("timeout", "TimeoutError")}
    assert [event["status"] for event in found.of("api_request")] == [500, 500]
    assert b"bob" not in found.written


@pytest.mark.parametrize("stack", STACKS)
def test_an_exception_of_a_middleware_is_a_failure_too(tmp_path: Path, stack: str) -> None:
    """What another middleware raises, before any view, is recorded as well."""
    found = ask(tmp_path, stack, {"path": "/lazy", "headers": {"X-Break": "1"}})
    assert [error["name"] for error in found.of("error")] == ["ConnectionError"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_thread_may_track_with_the_request_it_got(tmp_path: Path, stack: str) -> None:
    """A thread that was handed the request records with it, outside its context."""
    found = ask(tmp_path, stack, {"path": "/caught"})
    assert [error["method"] for error in found.of("error")] == ["GET"]


@pytest.mark.parametrize("stack", STACKS)
def test_streams_and_files_are_passed_on_and_counted(tmp_path: Path, stack: str) -> None:
    """Sync and async streams and files arrive whole; each is recorded once, with its size."""
    path = "/stream/async" if stack == "async" else "/stream"
    found = ask(tmp_path, stack, {"path": path}, {"path": "/file"})
    assert found.answers[0]["body"] == "abcde"
    assert found.answers[1]["body"] == SHOP.read_text()
    assert [event["response_bytes"] for event in found.of("api_request")] == [5, SHOP.stat().st_size]


@pytest.mark.parametrize("stack", STACKS)
def test_a_client_that_leaves_a_stream_is_no_failure(tmp_path: Path, stack: str) -> None:
    """Who closes the window on a stream: 200, disconnected, streamed so far, and no error."""
    path = "/endless/async" if stack == "async" else "/endless"
    (event,) = ask(tmp_path, stack, {"path": path, "leave": True}).events
    assert (event["status"], event["response_bytes"], event["disconnected"]) == (200, 5, True)
    assert event["streamed_us"] >= 0


def test_a_client_that_leaves_before_the_answer_is_no_failure(tmp_path: Path) -> None:
    """Django cancels a view that nobody waits for: 499, disconnected, and no error."""
    (event,) = ask(tmp_path, "async", {"path": "/waiting", "leave": True}).events
    assert (event["path"], event["status"], event["disconnected"]) == ("/waiting", 499, True)


@pytest.mark.parametrize("stack", STACKS)
def test_a_body_is_counted_as_it_is_read(tmp_path: Path, stack: str) -> None:
    """A body that the view reads has its bytes, one that nobody reads has none."""
    bodies = ({"path": path, "method": "POST", "body": "12345678"} for path in ("/api/pos/1", "/lazy"))
    read, ignored = ask(tmp_path, stack, *bodies).of("api_request")
    assert (read["request_bytes"], ignored.get("request_bytes", 0)) == (8, 0)


@pytest.mark.parametrize("stack", STACKS)
def test_who_opts_out_and_health_checks(tmp_path: Path, stack: str) -> None:
    """With Sec-GPC: 1 there is neither user nor session; a health check is answered and not recorded."""
    calls = ({"path": "/who", "login": True, "headers": {"Sec-GPC": "1"}}, {"path": "/healthz"})
    found = ask(tmp_path, stack, *calls)
    assert [answer["status"] for answer in found.answers] == [200, 200]
    (event,) = found.events
    assert "user" not in event
    assert "session" not in event


@pytest.mark.parametrize("stack", STACKS)
def test_the_license_is_on_the_request_and_in_the_headers(tmp_path: Path, stack: str) -> None:
    """A view finds `request.license`, and every answer says the tier."""
    found = ask(tmp_path, stack, {"path": "/tier"}, {"path": "/nowhere"})
    assert found.answers[0]["body"] == "community"
    assert [answer["headers"]["X-License-Tier"] for answer in found.answers] == ["community", "community"]


@pytest.mark.parametrize("stack", STACKS)
def test_no_length_is_too_strange(tmp_path: Path, stack: str) -> None:
    """A Content-Length that is none changes nothing and fails nowhere."""
    calls = ({"path": "/lazy", "headers": {"Content-Length": length}} for length in ("²", "-1", "x", "9" * 5_000))
    found = ask(tmp_path, stack, *calls)
    assert [answer["status"] for answer in found.answers] == [200] * 4
