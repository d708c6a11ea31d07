"""The license middleware: the state on each request and in the headers, and nothing else changed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calos_telemetry import Settings
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.attached import LICENSE, attached
from calos_telemetry.sdk.license.gates import LicenseMiddleware, LicenseWsgiMiddleware
from calos_telemetry.sdk.license.labels import headers_of
from calos_telemetry.sdk.license.state import LicenseState, community
from calos_telemetry.sdk.protocols import Environ, Message, Receive, Scope, Send
from calos_telemetry.sdk.telemetry import Telemetry

PRO = LicenseState(Tier.PRO, valid=True, reason="proved", features=frozenset({"white_label"}))
PRO_HEADERS = [(b"x-license-tier", b"pro"), (b"x-license-valid", b"true"), (b"x-license-allow-white-label", b"true")]


class Standing:
    """As much of a telemetry object as the gates look at."""

    def __init__(self, holds: LicenseState | None, public_host: str | None = "shop.example.com") -> None:
        self.holds = holds
        self.settings = Settings(home=Path("nowhere"), public_host=public_host)
        self.failures: Counter[str] = Counter()

    def __getattr__(self, name: str) -> LicenseState:
        if name != "license" or self.holds is None:
            raise OSError("the disk is gone")
        return self.holds

    def swallow(self, error: BaseException) -> None:
        self.failures[type(error).__name__] += 1


def gate(app: Any, standing: Standing) -> LicenseMiddleware:
    return LicenseMiddleware(app, cast("Telemetry", standing))


async def hello(scope: Scope, _receive: Receive, send: Send) -> None:
    scope["seen"] = (scope.get(LICENSE), scope.get("state"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"hello"})


def answer(app: Any, scope: Scope) -> list[Message]:
    """Return everything that ``app`` sends on one connection."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    anyio.run(app, scope, receive, send)
    return sent


def test_asgi_says_the_license() -> None:
    """The headers follow the application's own; the state is on the scope and on ``request.state``."""
    scope: Scope = {"type": "http", "state": {"other": 1}}
    start, body = answer(gate(hello, Standing(PRO)), scope)
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1"), *PRO_HEADERS]}
    assert body == {"type": "http.response.body", "body": b"hello"}
    assert scope["seen"] == (PRO, {"other": 1, "license": PRO})


def test_asgi_says_a_state_that_changed() -> None:
    """A new state is said from the next request on."""
    standing = Standing(PRO)
    app = gate(hello, standing)
    answer(app, {"type": "http"})
    standing.holds = community(warning="look here")
    headers = dict(answer(app, {"type": "http"})[0]["headers"])
    assert headers[b"x-license-tier"] == b"community"
    assert headers[b"x-license-allow-white-label"] == b"false"
    assert headers[b"x-license-warning"] == b"look here"


@pytest.mark.parametrize(
    ("public", "host", "tier"),
    [
        (None, b"localhost:8000", b"development"),
        (None, b"192.168.0.7", b"development"),
        (None, b"shop.example.com", b"pro"),
        (None, b"h" * 300, b"development"),
        (None, None, b"development"),
        ("shop.example.com", b"localhost", b"pro"),
        ("localhost", b"shop.example.com", b"development"),
    ],
)
def test_a_development_host_is_development(public: str | None, host: bytes | None, tier: bytes) -> None:
    """The configured host decides, and without one that of each request, in ASGI and WSGI alike."""
    headers = [(b"accept", b"*/*")] + ([] if host is None else [(b"host", host)])
    start = answer(gate(hello, Standing(PRO, public)), {"type": "http", "headers": headers})[0]
    assert dict(start["headers"])[b"x-license-tier"] == tier
    environ: Environ = {} if host is None else {"HTTP_HOST": host.decode()}
    assert dict(call_wsgi(Standing(PRO, public), environ)[1])["X-License-Tier"] == tier.decode()


def test_the_state_is_found_without_the_request_and_only_during_it() -> None:
    """Whatever the application calls finds the license of its own request; afterwards there is none."""
    found: list[Any] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append(attached.get() is scope)

    answer(gate(app, Standing(PRO)), {"type": "http"})

    def wsgi(environ: Environ, _start: Any) -> list[bytes]:
        found.append(attached.get() is environ)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        LicenseWsgiMiddleware(wsgi, cast("Telemetry", Standing(PRO)))({}, None)  # type: ignore[arg-type]
    assert found == [True, True]
    assert attached.get() is None


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_asgi_leaves_other_connections_alone(kind: str) -> None:
    """What is no HTTP request passes untouched, with the very same callables."""
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.extend(arguments)

    scope: Scope = {"type": kind}
    receive, send = cast("Receive", object()), cast("Send", object())
    anyio.run(gate(app, Standing(PRO)), scope, receive, send)
    assert passed[0] is scope
    assert passed[1] is receive
    assert passed[2] is send
    assert scope == {"type": kind}


def test_a_failure_of_ours_leaves_the_response_as_it_is() -> None:
    """When the state cannot be had, the response goes out without the headers, and the failure is counted."""
    standing = Standing(None)
    assert answer(gate(hello, standing), {"type": "http"})[0]["headers"] == [(b"x-own", b"1")]
    environ: Environ = {}
    assert call_wsgi(standing, environ)[1] == [("X-Own", "1")]
    assert environ == {}
    assert standing.failures == {"OSError": 2}


def test_a_response_without_headers_gets_ours() -> None:
    """ASGI lets the headers be left out, and some applications say None."""

    async def bare(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.start", "status": 204, "headers": None})

    first, second = answer(gate(bare, Standing(PRO)), {"type": "http"})
    assert first["headers"] == second["headers"] == PRO_HEADERS


def test_the_applications_message_is_not_changed() -> None:
    """The message belongs to the application, which may send it again: it gets no second set of headers."""
    message: Message = {"type": "http.response.start", "status": 200, "headers": ((b"x-own", b"1"),)}

    async def again(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(message)

    app = gate(again, Standing(PRO))
    assert answer(app, {"type": "http"}) == answer(app, {"type": "http"})
    assert message["headers"] == ((b"x-own", b"1"),)


def test_a_message_that_is_none_is_the_servers_to_refuse() -> None:
    """What an application sends by mistake reaches the server as it is."""

    async def odd(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"status": 200})

    assert answer(gate(odd, Standing(PRO)), {"type": "http"}) == [{"status": 200}]


def test_exceptions_of_the_application_pass() -> None:
    """An application that fails fails the same with the gate in front of it."""

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("its own")

    with pytest.raises(ZeroDivisionError, match="its own"):
        answer(gate(broken, Standing(PRO)), {"type": "http"})


def call_wsgi(standing: Standing, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status, headers and body of one WSGI call."""
    told: list[Any] = []

    def app(_environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("X-Own", "1")])("written ")
        return [b"hello"]

    def start_response(status: str, headers: list[tuple[str, str]], *_exc_info: Any) -> Callable[[str], None]:
        told.extend((status, headers))
        return told.append

    body = b"".join(LicenseWsgiMiddleware(app, cast("Telemetry", standing))(environ, start_response))
    return told[0], told[1], told[2].encode() + body


def test_wsgi_says_the_license() -> None:
    """The same three headers, the state in the environ, and the server's own ``write`` handed through."""
    environ: Environ = {}
    status, headers, body = call_wsgi(Standing(PRO), environ)
    assert (status, body) == ("200 OK", b"written hello")
    assert headers == [("X-Own", "1"), *headers_of(PRO)]
    assert environ == {LICENSE: PRO}


@settings(deadline=None)
@given(st.text(max_size=600))
def test_no_warning_breaks_a_header(warning: str) -> None:
    """Whatever a sentence quotes, the header is printable ASCII of bounded length, and one line."""
    value = dict(headers_of(community(warning=warning)))["X-License-Warning"]
    assert len(value) <= 300
    assert all(" " <= char <= "~" for char in value)


def test_the_gates_load_nothing_heavy() -> None:
    """Importing the gates loads neither cryptography nor the database nor the network: it stands on the request path."""
    heavy = "{'cryptography', 'sqlalchemy', 'urllib3', 'alembic'}"
    code = f"import sys, calos_telemetry.sdk.license.gates; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"
