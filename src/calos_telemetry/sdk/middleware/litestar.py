"""Litestar: one call wires the middlewares and the operator's pages; templates are Litestar's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from litestar import Litestar
from litestar.exceptions import InternalServerException

from calos_telemetry.sdk.middleware.asgi import FACTS
from calos_telemetry.sdk.middleware.asgi_mount import around
from calos_telemetry.sdk.middleware.exclusion import HEALTH
from calos_telemetry.sdk.record.facts import FAILED, RequestFacts

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry


def init_litestar(app: Litestar, telemetry: Telemetry, exclude: Iterable[str] = HEALTH) -> None:
    """Put license and telemetry middleware around ``app`` and the operator's pages at ``/api/telemetry/``.

    The user and the session are what the application leaves in ``request.state.user_id`` and ``.session_id``.
    """
    app.after_exception.append(_note_error)
    app.asgi_handler = around(app.asgi_handler, telemetry, exclude)  # type: ignore[arg-type, assignment]


async def _note_error(error: Exception, scope: Any) -> None:
    """Remember an unhandled exception; Litestar itself turns it into a response.

    It has no exception of its own for a client that left while its body was read.
    """
    facts = scope.get(FACTS)
    if not isinstance(facts, RequestFacts) or getattr(error, "status_code", FAILED) < FAILED:
        return
    if not (facts.disconnected and isinstance(error, InternalServerException)):
        facts.note_failure(error)
