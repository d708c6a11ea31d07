"""License middleware: attaches the state to each request and says it in the ``X-License-*`` headers.

It runs before the telemetry middleware, blocks nothing, and loads neither cryptography nor the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.protocols import AsgiApp, Environ, Message, Receive, Scope, Send, WsgiApp

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

LICENSE = "calos.license"


class LicenseMiddleware:
    """Pure ASGI.  The application finds the state in ``scope["calos.license"]`` and ``request.state.license``."""

    def __init__(self, app: AsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = self.telemetry.license
        scope[LICENSE] = state
        scope.setdefault("state", {})["license"] = state
        labels = headers_of(state)

        async def labelling_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *labels]}
            await send(message)

        await self.app(scope, receive, labelling_send)


class LicenseWsgiMiddleware:
    """Pure WSGI.  The application finds the state in ``environ["calos.license"]``."""

    def __init__(self, app: WsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        state = environ[LICENSE] = self.telemetry.license
        labels = [(name.decode(), value.decode()) for name, value in headers_of(state)]

        def labelling_start_response(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [*headers, *labels], *exc_info)

        return self.app(environ, labelling_start_response)


@lru_cache(maxsize=16)
def headers_of(state: LicenseState) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that say ``state``, ready to send; computed once a state."""
    headers = [
        (b"x-license-tier", state.tier.value.encode()),
        (b"x-license-valid", _flag(state.valid)),
        (b"x-license-allow-white-label", _flag(state.allow_white_label)),
    ]
    if state.warning is not None:
        headers.append((b"x-license-warning", state.warning.encode("ascii", "replace").replace(b"\n", b" ")))
    return tuple(headers)


def _flag(value: bool) -> bytes:
    return b"true" if value else b"false"
