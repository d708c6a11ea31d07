"""Everything of ours around an ASGI application that has no mounts of its own: license, telemetry, operator's pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from calos_telemetry.sdk.license.gates import LicenseMiddleware
from calos_telemetry.sdk.middleware.asgi import TelemetryMiddleware
from calos_telemetry.sdk.middleware.exclusion import HEALTH
from calos_telemetry.sdk.protocols import AsgiApp, Receive, Scope, Send
from calos_telemetry.sdk.viewer.pages import MOUNTS, mounted_at

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


def around(app: AsgiApp, telemetry: Telemetry, exclude: Iterable[str] = HEALTH) -> AsgiApp:
    """Return ``app`` with both middlewares around it and the pages at ``/api/telemetry/`` and ``/api/license``."""
    viewers = {at: telemetry.viewer(page) for at, page in MOUNTS.items()}
    inner = TelemetryMiddleware(app, telemetry, exclude=exclude)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        root: str = scope.get("root_path", "")
        path: str = scope["path"].removeprefix(root) if scope["type"] == "http" else ""
        at = mounted_at(path)
        if at is not None:
            await viewers[at]({**scope, "root_path": root + at, "path": root + path}, receive, send)
        else:
            await inner(scope, receive, send)

    return LicenseMiddleware(mounted, telemetry)
