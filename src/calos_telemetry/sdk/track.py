"""What an application calls by hand: ``track_feature``, ``track_error`` and ``track_choice``.

All work in sync and async code, in threads and outside any request, return at once, and never raise.  What they return
may be awaited or not: an ``await`` that somebody is used to writing changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from calos_telemetry.sdk.middleware.asgi import FACTS
from calos_telemetry.sdk.middleware.asgi_routes import route_of
from calos_telemetry.sdk.middleware.wsgi import ROUTE
from calos_telemetry.sdk.record.facts import RequestFacts, current
from calos_telemetry.sdk.record.pipeline import Pipeline
from calos_telemetry.sdk.telemetry import telemetry_of


class Tracked:
    """The answer of a tracking call: true when the record is in the spool; awaiting it gives itself back."""

    __slots__ = ("_recorded",)

    def __init__(self, recorded: bool) -> None:
        self._recorded = recorded

    def __bool__(self) -> bool:
        return self._recorded

    def __await__(self) -> Generator[Any, None, Tracked]:
        yield from ()
        return self


_HOLDERS = ("scope", "environ", "META")
_YES = Tracked(recorded=True)
_NO = Tracked(recorded=False)


def track_feature(request: object, name: str, metadata: Mapping[str, object] | None = None) -> Tracked:
    """Record one use of the feature ``name``.

    ``request`` is the framework's request (Starlette, FastAPI, Flask, Django), an ASGI scope, a WSGI environ, or
    ``None`` for the current request, if there is one.  Of ``metadata`` only declared keys with closed values are kept.
    """
    return _tracked(_facts_of(request), lambda pipeline, facts: pipeline.feature(name, metadata, facts))


def track_error(request: object, error: BaseException, context: Mapping[str, object] | None = None) -> Tracked:
    """Record a failure that the application caught.

    ``request`` as for :func:`track_feature`; of ``context`` only declared keys with closed values are kept.
    """
    return _tracked(_facts_of(request), lambda pipeline, facts: pipeline.error(error, facts, context))


def track_choice(name: str, value: str) -> Tracked:
    """Record what was chosen of a closed choice: ``track_choice("theme", "midnight")``.

    Kept when ``name`` and ``value`` are declared (built in, or by the application); otherwise it counts as ``[REDACTED]``.
    """
    return _tracked(current.get(), lambda pipeline, facts: pipeline.choice(name, value, facts))


def _tracked(facts: RequestFacts | None, record: Callable[[Pipeline, RequestFacts | None], bool]) -> Tracked:
    telemetry = telemetry_of(facts)
    if telemetry is None:
        return _NO
    return _YES if telemetry.attempt(lambda pipeline: record(pipeline, facts)) else _NO


def _facts_of(request: object) -> RequestFacts | None:
    if request is None:
        return current.get()
    try:
        holders = (request, *(getattr(request, name, None) for name in _HOLDERS))
        known = next((holder for holder in holders if isinstance(holder, dict) and FACTS in holder), None)
        return current.get() if known is None else _facts_in(known)
    except Exception:  # noqa: BLE001 - whatever was handed to us as a request, the current one is the answer
        return current.get()


def _facts_in(holder: dict[str, Any]) -> RequestFacts | None:
    facts = holder[FACTS]
    if not isinstance(facts, RequestFacts):
        return current.get()
    _note_route(facts, holder)
    return facts


def _note_route(facts: RequestFacts, holder: dict[str, Any]) -> None:
    """Note the route while the request is still being answered, so that nobody has to guess it from the path."""
    if facts.route is not None:
        return
    if "type" in holder:  # an ASGI scope
        facts.route = route_of(holder, holder.get("app_root_path", holder.get("root_path", "")))
    else:
        facts.route = holder.get(ROUTE)
