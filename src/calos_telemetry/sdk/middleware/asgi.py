"""Pure ASGI middleware: FastAPI, Starlette, Litestar, Quart and every other ASGI application.

The application's messages, their order, its exceptions and its context variables are the same with and without us.
Bodies are counted, never read.  The record is made after the response has gone out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.middleware import asgi_http, asgi_websocket
from calos_telemetry.sdk.middleware.asgi_routes import route_of, tags_of
from calos_telemetry.sdk.middleware.asgi_websocket import NOT_FOUND, REFUSED, STYLE
from calos_telemetry.sdk.middleware.exclusion import HEALTH, excluding
from calos_telemetry.sdk.protocols import AsgiApp, Receive, Scope, Send
from calos_telemetry.sdk.record.facts import RequestFacts, current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

FACTS = "calos.facts"
_COUNTING = {"http": asgi_http.counting, "websocket": asgi_websocket.counting}


class TelemetryMiddleware:
    """Records every HTTP request and websocket of ``app``; anything else (lifespan) passes untouched.

    ``exclude`` lists paths that are not recorded, whole ones and (with ``/`` at the end) all below one; without it,
    what machines ask for the application's health.
    """

    def __init__(self, app: AsgiApp, telemetry: Telemetry, exclude: Iterable[str] = HEALTH) -> None:
        self.app = app
        self.telemetry = telemetry
        self._excluded = excluding(exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        counting = _COUNTING.get(scope["type"])
        root = scope.get("root_path", "")
        facts = self._begin(scope, root) if counting is not None else None
        if counting is None or facts is None:
            await self.app(scope, receive, send)
            return
        token = current.set(facts)
        try:
            await self.app(scope, *counting(facts, receive, send))
        except BaseException as error:
            facts.note_failure(error)
            raise
        finally:
            current.reset(token)
            self._finish(facts, scope, root)

    def _begin(self, scope: Scope, root: str) -> RequestFacts | None:
        pipeline = self.telemetry.pipeline
        if pipeline is None:
            return None
        try:
            path = scope["path"]
            if self._excluded(path.removeprefix(root) if root else path):
                return None
            facts = scope[FACTS] = RequestFacts(pipeline, now_ms(), scope.get("method", "GET"), path, "")
            for name, value in scope.get("headers", ()):
                if name == b"host":
                    facts.host = value.decode("latin-1")
                elif name == b"user-agent":
                    facts.user_agent = value.decode("latin-1")
                elif name == b"sec-gpc":
                    facts.private = value == b"1"
            client = scope.get("client")
            facts.address = client[0] if client else None
            if pipeline.countries.header is not None:
                facts.country = _last_of(pipeline.countries.header, scope)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)
            return None
        return facts

    def _finish(self, facts: RequestFacts, scope: Scope, root: str) -> None:
        try:
            facts.end()
            facts.route = route_of(scope, root)
            if facts.route is None and facts.style == STYLE and facts.status == REFUSED:
                facts.status = NOT_FOUND  # no route took it: a scanner must not write our tables
            if facts.pipeline.features.reads_tags:
                facts.tags = tags_of(scope)
            facts.user, facts.session = _who(scope)
            self.telemetry.record(facts)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)


def _last_of(wanted: bytes, scope: Scope) -> str | None:
    """Return the last value of the trusted header: the one that the nearest proxy wrote."""
    values = [value for name, value in scope.get("headers", ()) if name == wanted]
    return values[-1].decode("latin-1") if values else None


def _who(scope: Scope) -> tuple[object, object]:
    """Return user and session as the application left them in ``request.state`` (or ``request.user``)."""
    state = scope.get("state")
    if state is None:
        state = {}
    user = state.get("user_id")
    if user is None and "user" in scope and getattr(scope["user"], "is_authenticated", False):
        user = getattr(scope["user"], "identity", None)
    return user, state.get("session_id")
