"""License middleware: attaches the state to each request and says it in the ``X-License-*`` headers.

It runs before the telemetry middleware, blocks nothing, and loads neither cryptography nor the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from calos_telemetry.sdk.license.attached import LICENSE, attached
from calos_telemetry.sdk.license.labels import Labeller
from calos_telemetry.sdk.protocols import AsgiApp, Environ, Message, Receive, Scope, Send, WsgiApp

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


class LicenseMiddleware:
    """Pure ASGI.  The application finds the state in ``scope["calos.license"]`` and ``request.state.license``."""

    def __init__(self, app: AsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self._labeller = Labeller(telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            labeller = self._labeller
            labels = labeller.labels(_host(scope) if labeller.by_host else b"")
            scope[LICENSE] = state = labels.state
            if "state" in scope:
                scope["state"]["license"] = state
            else:
                scope["state"] = {"license": state}
            send = _labelling(send, labels.asgi)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._labeller.swallow(error)
        token = attached.set(scope)
        try:
            await self.app(scope, receive, send)
        finally:
            attached.reset(token)


class LicenseWsgiMiddleware:
    """Pure WSGI.  The application finds the state in ``environ["calos.license"]``."""

    def __init__(self, app: WsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self._labeller = Labeller(telemetry)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        try:
            labels = self._labeller.labels(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""))
            environ[LICENSE] = labels.state
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._labeller.swallow(error)
            return self.app(environ, start_response)

        def labelling_start_response(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [*headers, *labels.wsgi], *exc_info)

        token = attached.set(environ)
        try:
            return self.app(environ, labelling_start_response)
        finally:
            attached.reset(token)


def _host(scope: Scope) -> Any:
    for name, value in scope.get("headers", ()):
        if name == b"host":
            return value
    return b""


def _labelling(send: Send, labels: tuple[tuple[bytes, bytes], ...]) -> Send:
    # Not a coroutine of its own: it hands back the server's, which saves a frame for each message.
    def labelling_send(message: Message) -> Awaitable[None]:
        if message.get("type") == "http.response.start":
            message = {**message, "headers": [*(message.get("headers") or ()), *labels]}
        return send(message)

    return labelling_send
