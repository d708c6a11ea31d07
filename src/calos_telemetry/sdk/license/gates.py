"""License middleware: attaches the state to each request and says it in the ``X-License-*`` headers.

It runs before the telemetry middleware, blocks nothing, and loads neither cryptography nor the database.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.protocols import AsgiApp, Environ, Message, Receive, Scope, Send, WsgiApp

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

LICENSE = "calos.license"

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_LONGEST = 300  # some proxies refuse a response whose headers are long


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """The headers that say a state, ready to send in either form."""

    state: LicenseState
    asgi: tuple[tuple[bytes, bytes], ...]
    wsgi: tuple[tuple[str, str], ...]


class _Gate:
    """What both middlewares share: the state that holds now, and the headers computed once for each state."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._labels: _Labels | None = None

    def labels(self) -> _Labels:
        """Return the state that holds now with its headers."""
        state = self._telemetry.license
        labels = self._labels
        if labels is None or labels.state is not state:
            headers = headers_of(state)
            lower = tuple((name.lower().encode(), value.encode()) for name, value in headers)
            labels = self._labels = _Labels(state, lower, headers)
        return labels

    def swallow(self, error: Exception) -> None:
        """Count a failure of ours; the response goes on without the headers."""
        self._telemetry.swallow(error)


class LicenseMiddleware:
    """Pure ASGI.  The application finds the state in ``scope["calos.license"]`` and ``request.state.license``."""

    def __init__(self, app: AsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self._gate = _Gate(telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            try:
                labels = self._gate.labels()
                scope[LICENSE] = labels.state
                scope.setdefault("state", {})["license"] = labels.state
                send = _labelling(send, labels.asgi)
            except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
                self._gate.swallow(error)
        await self.app(scope, receive, send)


class LicenseWsgiMiddleware:
    """Pure WSGI.  The application finds the state in ``environ["calos.license"]``."""

    def __init__(self, app: WsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self._gate = _Gate(telemetry)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        try:
            labels = self._gate.labels()
            environ[LICENSE] = labels.state
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._gate.swallow(error)
            return self.app(environ, start_response)

        def labelling_start_response(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [*headers, *labels.wsgi], *exc_info)

        return self.app(environ, labelling_start_response)


def headers_of(state: LicenseState) -> tuple[tuple[str, str], ...]:
    """Return the headers that say ``state``, in printable ASCII."""
    headers = [
        ("X-License-Tier", state.tier.value),
        ("X-License-Valid", _flag(state.valid)),
        ("X-License-Allow-White-Label", _flag(state.allow_white_label)),
    ]
    if state.warning is not None:
        # A sentence may quote a file name or a server: whatever could end a header or is not ASCII becomes "?".
        headers.append(("X-License-Warning", _UNPRINTABLE.sub("?", state.warning)[:_LONGEST]))
    return tuple(headers)


def _labelling(send: Send, labels: tuple[tuple[bytes, bytes], ...]) -> Send:
    # Not a coroutine of its own: it hands back the server's, which saves a frame for each message.
    def labelling_send(message: Message) -> Awaitable[None]:
        if message.get("type") == "http.response.start":
            message = {**message, "headers": [*(message.get("headers") or ()), *labels]}
        return send(message)

    return labelling_send


def _flag(value: bool) -> str:
    return "true" if value else "false"
