"""Every route of the operator's side on one screen, independent of the web framework.

    GET  /                 the page
    GET  /summary?hours=24 what was collected
    POST /flush            move the spool into the database now
    GET  /metrics          the numbers for Prometheus
    GET  /report           the newest report: the exact bytes that left or wait to leave
    GET  /receipt          its receipt, as the vendor signed it

A visitor must neither read nor drive telemetry, so every route asks :mod:`calos_telemetry.access` first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from calos_telemetry.access import Verdict, decide
from calos_telemetry.errors import CalosTelemetryError, SettingsError
from calos_telemetry.sdk.viewer.overview import STYLESHEET, overview

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_DEFAULT_HOURS = 24
_MAX_FIELDS = 20
_PROTECTION = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
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


def query_of(text: str) -> dict[str, str]:
    """Return the fields of a query string; none of one with more than 20 fields, which nobody types."""
    try:
        return dict(parse_qsl(text, max_num_fields=_MAX_FIELDS))
    except ValueError:
        return {}


def answer(telemetry: Telemetry, call: Call) -> Reply:
    """Answer an operator's request; anybody else gets 401 or 403."""
    verdict = decide(call.peer, call.headers, telemetry.settings.operator_token, call.method)
    if verdict is not Verdict.ALLOWED:
        return _denied(verdict)
    path = "/" + call.path.strip("/")
    page = _ROUTES.get((call.method, path))
    if page is None:
        known = any(path == other for _, other in _ROUTES)
        return _problem(405 if known else 404, "there is no such page or method under /api/telemetry/")
    try:
        return page(telemetry, call)
    except SettingsError as error:
        return _problem(400, str(error))
    except CalosTelemetryError as error:
        return _problem(503, str(error))


def _page(telemetry: Telemetry, call: Call) -> Reply:
    return _reply(200, _HTML, overview(telemetry, call.base).encode())


def _style(_telemetry: Telemetry, _call: Call) -> Reply:
    return _reply(200, "text/css; charset=utf-8", STYLESHEET.encode())


def _summary(telemetry: Telemetry, call: Call) -> Reply:
    return _json(200, {"success": True, "summary": telemetry.summary(_hours(call))})


def _flush(telemetry: Telemetry, _call: Call) -> Reply:
    events = telemetry.flush()
    return _json(200, {"success": True, "message": "Telemetry flushed", "events": events})


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
    ("GET", "/report"): _report,
    ("GET", "/receipt"): _receipt,
}


def _hours(call: Call) -> int:
    text = call.query.get("hours", str(_DEFAULT_HOURS))
    if not text.isascii() or not text.isdigit() or len(text) > len("100000"):
        raise SettingsError("hours must be a whole number, such as 24")
    return int(text)


def _denied(verdict: Verdict) -> Reply:
    if verdict is Verdict.UNAUTHORIZED:
        body = {"success": False, "error": "this page is the operator's: send the token of CALOS_OPERATOR_TOKEN"}
        challenge = ("WWW-Authenticate", 'Basic realm="CALOS telemetry: any name, the operator token as password"')
        return Reply(401, (("Content-Type", _JSON), challenge, *_PROTECTION), msgspec.json.encode(body))
    return _problem(403, "this page is the operator's: open it on the machine itself, or set CALOS_OPERATOR_TOKEN")


def _problem(status: int, sentence: str) -> Reply:
    return _json(status, {"success": False, "error": sentence})


def _json(status: int, content: object) -> Reply:
    return _reply(status, _JSON, msgspec.json.encode(content))


def _reply(status: int, content_type: str, body: bytes) -> Reply:
    return Reply(status, (("Content-Type", content_type), *_PROTECTION), body)
