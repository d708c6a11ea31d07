"""Flask: one call wires the middlewares, the route templates and the operator's pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, g, got_request_exception, request

from calos_telemetry.sdk.license.gates import LicenseWsgiMiddleware
from calos_telemetry.sdk.middleware.exclusion import HEALTH
from calos_telemetry.sdk.middleware.wsgi import FACTS, ROUTE, SESSION, TAGS, USER, TelemetryWsgiMiddleware
from calos_telemetry.sdk.viewer.wsgi import mount

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


def init_flask(app: Flask, telemetry: Telemetry, exclude: Iterable[str] = HEALTH) -> None:
    """Put license and telemetry middleware around ``app`` and the operator's pages at ``/api/telemetry/``.

    The user and the session are what the application leaves in ``flask.g.user_id`` and ``flask.g.session_id``;
    the tags of a route are the names of its blueprints, the innermost first.
    """
    app.before_request(_note_route)
    app.teardown_request(_note_who)
    got_request_exception.connect(_note_error, app)
    inner = TelemetryWsgiMiddleware(mount(app.wsgi_app, telemetry), telemetry, exclude)
    app.wsgi_app = LicenseWsgiMiddleware(inner, telemetry)  # type: ignore[method-assign]  # Flask's documented way


def _note_route() -> None:
    facts = request.environ.get(FACTS)
    if request.url_rule is not None and facts is not None:
        facts.route = request.environ[ROUTE] = request.script_root + request.url_rule.rule
        if request.blueprint is not None:
            request.environ[TAGS] = request.blueprint.split(".")[::-1]


def _note_error(_app: Flask, exception: BaseException) -> None:
    """Remember an unhandled exception; Flask itself turns it into a response."""
    facts = request.environ.get(FACTS)
    if facts is not None:
        facts.note_failure(exception)


def _note_who(_error: BaseException | None) -> None:
    _note_route()  # an earlier before_request of the application may have answered
    request.environ[USER] = g.get("user_id")
    request.environ[SESSION] = g.get("session_id")
