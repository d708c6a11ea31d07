"""``GET /``: the vendor's start page, for those who may see it."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from calos_telemetry.access import OLD_HTTP, Verdict, decide
from calos_telemetry.clock import now_ms
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.server.analytics.period import Period
from calos_telemetry.server.dashboard.page import PERIODS, Setup, refused_page, start_page
from calos_telemetry.server.vendor import Vendor

_DEFAULT_DAYS = 30
_STYLE = Path(__file__).with_name("assets") / "style.css"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_REFUSED = {
    Verdict.UNAUTHORIZED: "Sign in with the admin token (CALOS_SERVER_ADMIN_TOKEN) as the password; any user name will do.",
    Verdict.FORBIDDEN: (
        "These pages open on the machine itself, by a loopback address and without a proxy. To open them from "
        "elsewhere, start the server with CALOS_SERVER_ADMIN_TOKEN and sign in with it."
    ),
}


def start(request: Request) -> Response:
    """Show the start page."""
    vendor: Vendor = request.app.state.vendor
    direct = request.client is not None and request.scope.get("http_version") != OLD_HTTP
    peer = request.client.host if request.client and direct else None
    verdict = decide(peer, request.headers, vendor.admin_token, request.method)
    if verdict is not Verdict.ALLOWED:
        return _refuse(verdict)
    setup = Setup(key=encode_public(vendor.keys.root), url=str(request.base_url).rstrip("/"))
    with vendor.store.fleet.connect() as connection:
        return HTMLResponse(start_page(connection, _period(request), setup), headers=_HEADERS)


def style(_request: Request) -> Response:
    """Serve the style sheet, which holds nothing secret."""
    headers = _HEADERS | {"Cache-Control": "max-age=3600"}
    return Response(_STYLE.read_bytes(), media_type="text/css", headers=headers)


def _period(request: Request) -> Period:
    asked = request.query_params.get("days", "")
    days = next((days for days in PERIODS if str(days) == asked), _DEFAULT_DAYS)
    return Period(days=days, now=now_ms())


def _refuse(verdict: Verdict) -> Response:
    headers = dict(_HEADERS)
    if verdict is Verdict.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="CALOS Telemetry", charset="UTF-8"'
    return HTMLResponse(refused_page(_REFUSED[verdict]), status_code=verdict.value, headers=headers)
