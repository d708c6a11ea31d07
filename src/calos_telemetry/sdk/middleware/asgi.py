"""Pure ASGI middleware: FastAPI, Starlette, Litestar, Quart and every other ASGI application.

The application's messages, their order, its exceptions and its context variables are the same with and without us.
Bodies are counted, never read.  The record is made after the response has gone out.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter_ns
from typing import TYPE_CHECKING

from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.middleware.asgi_routes import route_of, tags_of
from calos_telemetry.sdk.protocols import AsgiApp, Message, Receive, Scope, Send
from calos_telemetry.sdk.record.facts import RequestFacts, current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

FACTS = "calos.facts"
_FAILED = 500


class TelemetryMiddleware:
    """Records every HTTP request of ``app``; anything else (websocket, lifespan) passes untouched."""

    def __init__(self, app: AsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        facts = self._begin(scope) if scope["type"] == "http" else None
        if facts is None:
            await self.app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        started = perf_counter_ns()

        async def counting_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                facts.request_bytes += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.body":
                facts.response_bytes += len(message.get("body", b""))
            elif message["type"] == "http.response.start":
                facts.status = message["status"]
                facts.is_page = _is_page(message.get("headers", ()))
            await send(message)

        token = current.set(facts)
        try:
            await self.app(scope, counting_receive, counting_send)
        except BaseException as error:
            facts.error = error if isinstance(error, Exception) else None
            facts.status = facts.status or _FAILED
            raise
        finally:
            current.reset(token)
            facts.duration_us = (perf_counter_ns() - started) // 1_000
            self._finish(facts, scope, root)

    def _begin(self, scope: Scope) -> RequestFacts | None:
        pipeline = self.telemetry.pipeline
        if pipeline is None:
            return None
        try:
            facts = scope[FACTS] = RequestFacts(pipeline, now_ms(), scope["method"], scope["path"], "")
            for name, value in scope.get("headers", ()):
                if name == b"host":
                    facts.host = value.decode("latin-1")
                elif name == b"user-agent":
                    facts.user_agent = value.decode("latin-1")
                elif name == b"sec-gpc":
                    facts.private = value == b"1"
            if pipeline.countries.known:
                _note_place(facts, scope)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)
            return None
        return facts

    def _finish(self, facts: RequestFacts, scope: Scope, root: str) -> None:
        try:
            facts.route = route_of(scope, root)
            if facts.pipeline.features.reads_tags:
                facts.tags = tags_of(scope)
            facts.user, facts.session = _who(scope)
            self.telemetry.record(facts)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)


def _note_place(facts: RequestFacts, scope: Scope) -> None:
    """Note the peer, and of the trusted header the last value, which is the one that the nearest proxy wrote."""
    client = scope.get("client")
    facts.address = client[0] if client else None
    wanted = facts.pipeline.countries.header
    values = [value for name, value in scope.get("headers", ()) if name == wanted]
    facts.country = values[-1].decode("latin-1") if values else None


def _is_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"content-type":  # ASGI: names are in lower case
            return value.startswith(b"text/html")
    return False


def _who(scope: Scope) -> tuple[object, object]:
    """Return user and session as the application left them in ``request.state`` (or ``request.user``)."""
    state = scope.get("state")
    if state is None:
        state = {}
    user = state.get("user_id")
    if user is None and "user" in scope and getattr(scope["user"], "is_authenticated", False):
        user = getattr(scope["user"], "identity", None)
    return user, state.get("session_id")
