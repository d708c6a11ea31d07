"""The operator's pages as an ASGI application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from calos_telemetry.access import OLD_HTTP
from calos_telemetry.sdk.protocols import Receive, Scope, Send
from calos_telemetry.sdk.viewer.pages import Call, Reply, answer, query_of

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


class Viewer:
    """Mount it at ``/api/telemetry``: ``app.mount("/api/telemetry", telemetry.viewer())``."""

    def __init__(self, telemetry: Telemetry, page: str = "") -> None:
        self._telemetry = telemetry
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the database is asked in a thread, so that the event loop goes on."""
        del receive
        if scope["type"] != "http":
            return
        reply = await asyncio.to_thread(answer, self._telemetry, _call(scope, self._page))
        await _send(reply, send)


def _call(scope: Scope, page: str) -> Call:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    client = scope.get("client")
    query = query_of(scope.get("query_string", b"").decode("latin-1"))
    return Call(
        method=scope["method"],
        path=page + path.removeprefix(root),
        query=query,
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        peer=client[0] if client and scope.get("http_version") != OLD_HTTP else None,
        base=root,
    )


async def _send(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
