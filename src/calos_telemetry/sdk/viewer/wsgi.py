"""The operator's pages in front of a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from calos_telemetry.access import OLD_HTTP
from calos_telemetry.sdk.protocols import Environ, WsgiApp
from calos_telemetry.sdk.viewer.pages import MOUNTS, Call, answer, mounted_at, query_of

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


def mount(app: WsgiApp, telemetry: Telemetry) -> WsgiApp:
    """Return ``app`` with the operator's pages at ``/api/telemetry/`` and ``/api/license``."""

    def mounted(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        at = mounted_at(environ.get("PATH_INFO", ""))
        if at is None:
            return app(environ, start_response)
        reply = answer(telemetry, _call(environ, at))
        headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", headers)
        return [reply.body]

    return mounted


def _call(environ: Environ, at: str) -> Call:
    headers = {
        name.removeprefix("HTTP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    query = query_of(environ.get("QUERY_STRING", ""))
    return Call(
        environ["REQUEST_METHOD"],
        MOUNTS[at] + environ["PATH_INFO"].removeprefix(at),
        query,
        headers,
        environ.get("REMOTE_ADDR") if environ.get("SERVER_PROTOCOL") != f"HTTP/{OLD_HTTP}" else None,
        environ.get("SCRIPT_NAME", "") + at,
    )
