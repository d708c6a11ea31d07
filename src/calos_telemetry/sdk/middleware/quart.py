"""Quart: one call wires the middlewares, the route templates and the operator's pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from quart import Quart, g, got_request_exception, got_websocket_exception, has_websocket_context, request, websocket

from calos_telemetry.sdk.middleware.asgi import FACTS
from calos_telemetry.sdk.middleware.asgi_mount import around
from calos_telemetry.sdk.middleware.asgi_routes import TAGS, TEMPLATE
from calos_telemetry.sdk.middleware.exclusion import HEALTH
from calos_telemetry.sdk.record.facts import RequestFacts

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


def init_quart(app: Quart, telemetry: Telemetry, exclude: Iterable[str] = HEALTH) -> None:
    """Put license and telemetry middleware around ``app`` and the operator's pages at ``/api/telemetry/``.

    The user and the session are what the application leaves in ``quart.g.user_id`` and ``quart.g.session_id``;
    the tags of a route are the names of its blueprints, the innermost first.
    """
    app.before_request(_note_route)
    app.before_websocket(_note_route)
    app.teardown_request(_note_who)
    app.teardown_websocket(_note_who)
    got_request_exception.connect(_note_error, app)
    got_websocket_exception.connect(_note_error, app)
    app.asgi_app = around(app.asgi_app, telemetry, exclude)  # type: ignore[arg-type, assignment, method-assign]  # Quart's documented way


def _asked() -> Any:
    return websocket if has_websocket_context() else request


async def _note_route() -> None:
    asked = _asked()
    if asked.url_rule is not None:
        asked.scope[TEMPLATE] = asked.url_rule.rule
        if asked.blueprint is not None:
            asked.scope[TAGS] = asked.blueprint.split(".")[::-1]


async def _note_who(_error: BaseException | None) -> None:
    await _note_route()  # an earlier before_request of the application may have answered
    state = _asked().scope.setdefault("state", {})
    state.setdefault("user_id", g.get("user_id"))
    state.setdefault("session_id", g.get("session_id"))


async def _note_error(_app: Quart, exception: BaseException) -> None:
    """Remember an unhandled exception; Quart itself turns it into a response."""
    facts = _asked().scope.get(FACTS)
    if isinstance(facts, RequestFacts):
        facts.note_failure(exception)
