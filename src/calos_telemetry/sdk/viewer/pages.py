"""Every route of the operator's side on one screen, independent of the web framework.

    GET  /                 the page
    GET  /summary?hours=24 what was collected
    POST /flush            move the spool into the database now
    POST /verify           verify the license now and send what is new
    GET  /license          what the license allows now, and what the vendor last said
    POST /license/clear    forget the cached lease, so that the license is verified anew
    GET  /metrics          the numbers for Prometheus
    GET  /report           the newest report: the exact bytes that left or wait to leave
    GET  /receipt          its receipt, as the vendor signed it

A visitor must neither read nor drive telemetry, so every route asks :mod:`calos_telemetry.access` first.  The page's own
buttons are plain forms: a browser that posts one is sent back to the page, a program gets JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from calos_telemetry.access import Verdict, decide
from calos_telemetry.errors import CalosTelemetryError, SettingsError
from calos_telemetry.sdk.record.facts import current
from calos_telemetry.sdk.viewer.license import license_content
from calos_telemetry.sdk.viewer.overview import FAILED, FLUSHED, STYLESHEET, VERIFIED, overview

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

MOUNTS = {"/api/telemetry": "", "/api/license": "/license"}
"""Where the pages are found in an application, and which page (with those below it) each place begins at."""

_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_DEFAULT_HOURS = 24
_MAX_FIELDS = 20
_PROTECTION = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Referrer-Policy",
        "same-origin",
    ),  # with "no-referrer" a browser would say of our own forms that they come from nowhere
    ("Cache-Control", "no-store"),
    ("X-Frame-Options", "DENY"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the pages see it; ``path`` begins behind the mount point ``base``, header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str | None
    base: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def mounted_at(path: str) -> str | None:
    """Return the mount point that ``path`` is at or below; ``None`` for a path of the application's own."""
    return next((mount for mount in MOUNTS if path == mount or path.startswith(mount + "/")), None)


def query_of(text: str) -> dict[str, str]:
    """Return the fields of a query string; none of one with more than 20 fields, which nobody types."""
    try:
        return dict(parse_qsl(text, max_num_fields=_MAX_FIELDS))
    except ValueError:
        return {}


def answer(telemetry: Telemetry, call: Call) -> Reply:
    """Answer an operator's request; anybody else gets 401 or 403.  Neither is counted as a use of the product."""
    facts = current.get()
    if facts is not None:
        facts.own = True
    verdict = decide(call.peer, call.headers, telemetry.settings.operator_token, call.method)
    if verdict is not Verdict.ALLOWED:
        return _denied(verdict)
    path = "/" + call.path.strip("/")
    page = _ROUTES.get((call.method, path))
    if page is None:
        return _no_such(path)
    try:
        return page(telemetry, call)
    except SettingsError as error:
        return _problem(400, str(error))
    except CalosTelemetryError as error:
        return _problem(503, str(error))
    except Exception as error:  # noqa: BLE001 - the boundary: a page of ours is no reason for the application to fail
        telemetry.swallow(error)
        kind = type(error).__name__
        return _problem(503, f"the telemetry's own files cannot be used now ({kind}): the application's log says more")


def _page(telemetry: Telemetry, call: Call) -> Reply:
    return _reply(200, _HTML, overview(telemetry, call.base, call.query.get("done", "")).encode())


def _style(_telemetry: Telemetry, _call: Call) -> Reply:
    return _reply(200, "text/css; charset=utf-8", STYLESHEET.encode())


def _summary(telemetry: Telemetry, call: Call) -> Reply:
    return _json(200, {"success": True, "summary": telemetry.summary(_hours(call))})


def _flush(telemetry: Telemetry, call: Call) -> Reply:
    events = telemetry.flush()
    if _from_a_form(call):
        return _back(call, FLUSHED)
    return _json(200, {"success": True, "message": "Telemetry flushed", "events": events})


def _verify(telemetry: Telemetry, call: Call) -> Reply:
    outcome = telemetry.install.verify()
    if _from_a_form(call):
        return _back(call, VERIFIED if outcome.ok else FAILED)
    return _json(200 if outcome.ok else 502, {"success": outcome.ok, "message": outcome.sentence, "outcome": outcome})


def _license(telemetry: Telemetry, _call: Call) -> Reply:
    return _json(200, {"success": True, **license_content(telemetry)})


def _clear_license(telemetry: Telemetry, _call: Call) -> Reply:
    telemetry.clear_license()
    message = "The cached lease is forgotten, but for a signed no; the license key stays, and is verified anew within two minutes"
    return _json(200, {"success": True, "message": message, **license_content(telemetry)})


def _metrics(telemetry: Telemetry, _call: Call) -> Reply:
    from calos_telemetry.sdk.instrument.prometheus import (  # noqa: PLC0415 - the middlewares import us, this the database
        CONTENT_TYPE,
        metrics_page,
    )

    return _reply(200, CONTENT_TYPE, metrics_page(telemetry.install).encode())


def _report(telemetry: Telemetry, _call: Call) -> Reply:
    newest = telemetry.install.ledger.newest()
    if newest is None:
        return _problem(404, "no report has been sealed yet")
    headers = (
        ("Calos-Digest", f"sha-256={newest.digest}"),
        ("Content-Disposition", "attachment; filename=report.json.gz"),
    )
    return Reply(200, (("Content-Type", "application/gzip"), *headers, *_PROTECTION), newest.body)


def _receipt(telemetry: Telemetry, _call: Call) -> Reply:
    newest = telemetry.install.ledger.newest()
    if newest is None or newest.receipt is None:
        return _problem(404, "no report has been receipted yet")
    return _reply(200, "text/plain; charset=utf-8", newest.receipt.text.encode())


_ROUTES: dict[tuple[str, str], Callable[[Telemetry, Call], Reply]] = {
    ("GET", "/"): _page,
    ("GET", "/style.css"): _style,
    ("GET", "/summary"): _summary,
    ("GET", "/metrics"): _metrics,
    ("POST", "/flush"): _flush,
    ("POST", "/verify"): _verify,
    ("GET", "/license"): _license,
    ("POST", "/license/clear"): _clear_license,
    ("GET", "/report"): _report,
    ("GET", "/receipt"): _receipt,
}


def _hours(call: Call) -> int:
    text = call.query.get("hours", str(_DEFAULT_HOURS))
    if not text.isascii() or not text.isdigit() or len(text) > len("100000"):
        raise SettingsError("hours must be a whole number above 0 with at most six digits, such as 24")
    return int(text)


def _denied(verdict: Verdict) -> Reply:
    if verdict is Verdict.UNAUTHORIZED:
        body = {"success": False, "error": "this page is the operator's: send the token of CALOS_OPERATOR_TOKEN"}
        challenge = ("WWW-Authenticate", 'Basic realm="CALOS telemetry: any name, the operator token as password"')
        return Reply(401, (("Content-Type", _JSON), challenge, *_PROTECTION), msgspec.json.encode(body))
    return _problem(403, "this page is the operator's: open it on the machine itself, or set CALOS_OPERATOR_TOKEN")


def _from_a_form(call: Call) -> bool:
    return "text/html" in call.headers.get("accept", "")


def _back(call: Call, done: str) -> Reply:
    """Send a browser back to the page, always on this very host."""
    location = f"/{call.base.strip('/')}/?done={done}"
    return Reply(303, (("Location", location), *_PROTECTION), b"")


def _no_such(path: str) -> Reply:
    methods = sorted(method for method, other in _ROUTES if other == path)
    if not methods:
        return _problem(404, "there is no such page under /api/telemetry/")
    reply = _problem(405, f"this page is for {' and '.join(methods)} only")
    return replace(reply, headers=(("Allow", ", ".join(methods)), *reply.headers))


def _problem(status: int, sentence: str) -> Reply:
    return _json(status, {"success": False, "error": sentence})


def _json(status: int, content: object) -> Reply:
    return _reply(status, _JSON, msgspec.json.encode(content))


def _reply(status: int, content_type: str, body: bytes) -> Reply:
    return Reply(status, (("Content-Type", content_type), *_PROTECTION), body)
