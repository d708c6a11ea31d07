"""Django, under WSGI and ASGI alike: two entries in ``MIDDLEWARE`` and one in ``urlpatterns``.

The user is the one that Django's authentication has found for the application; the session is Django's own session key.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from django.core.signals import got_request_exception
from django.dispatch import receiver
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path
from django.utils.functional import LazyObject

from calos_telemetry.access import OLD_HTTP
from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.middleware.django_license import LicenseMiddleware
from calos_telemetry.sdk.middleware.django_stacks import BothStacks
from calos_telemetry.sdk.middleware.exclusion import HEALTH, excluding
from calos_telemetry.sdk.middleware.wsgi import FACTS, has_body, number_in
from calos_telemetry.sdk.middleware.wsgi_input import CountedInput
from calos_telemetry.sdk.record.facts import RequestFacts, current
from calos_telemetry.sdk.record.pipeline import Pipeline
from calos_telemetry.sdk.telemetry import Telemetry, default_telemetry
from calos_telemetry.sdk.viewer.pages import Call, answer, query_of

__all__ = ["LicenseMiddleware", "TelemetryMiddleware", "telemetry_urls"]

SESSION_KEY = "_auth_user_id"  # of django.contrib.auth, which an application may not have


class TelemetryMiddleware(BothStacks):
    """Records every request.

    What ``exclude`` lists is not recorded: whole paths, and (with ``/`` at the end) all below one.  A subclass may say so.
    """

    exclude: ClassVar[Iterable[str]] = HEALTH

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._excluded = excluding(self.exclude)

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request of a sync stack."""
        facts = self._begin(request)
        token = current.set(facts)
        response: HttpResponseBase | None = None
        try:
            response = self.get_response(request)
        except BaseException as error:
            if facts is not None:
                facts.note_failure(error)
            raise
        finally:
            current.reset(token)
            self._finish(facts, request, response)
        return response

    async def answer_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request of an async stack."""
        facts = self._begin(request)
        token = current.set(facts)
        response: HttpResponseBase | None = None
        try:
            response = await self.get_response(request)
        except BaseException as error:
            if facts is not None:
                facts.note_failure(error)
            raise
        finally:
            current.reset(token)
            self._finish(facts, request, response)
        return response

    def _begin(self, request: HttpRequest) -> RequestFacts | None:
        pipeline = self.telemetry.pipeline
        if pipeline is None:
            return None
        try:
            facts = None if self._excluded(request.path_info) else _facts_of(request, pipeline)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)
            return None
        return facts

    def _finish(self, facts: RequestFacts | None, request: HttpRequest, response: HttpResponseBase | None) -> None:
        """Record the request: now, or once the server has closed a response that is still to be streamed."""
        if facts is None:
            return

        def record() -> None:
            if facts.queries is None:  # recorded already: a response may be closed twice
                return
            try:
                if later:
                    facts.note_closed()
                facts.end()
                facts.route = _route(request)
                if facts.pipeline.features.reads_tags:
                    facts.tags = _tags(request)
                facts.user, facts.session = _who(request)
                self.telemetry.record(facts)
            except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
                self.telemetry.swallow(error)

        later = False
        try:
            later = response is not None and _note_response(facts, response, record)
        except Exception as error:  # noqa: BLE001 - as above
            self.telemetry.swallow(error)
        if not later:
            record()


def _facts_of(request: HttpRequest, pipeline: Pipeline) -> RequestFacts:
    meta = request.META
    host = meta.get("HTTP_HOST") or meta.get("SERVER_NAME", "")
    facts = meta[FACTS] = RequestFacts(pipeline, now_ms(), request.method or "", request.path, host)
    facts.user_agent = meta.get("HTTP_USER_AGENT")
    facts.private = meta.get("HTTP_SEC_GPC") == "1"
    facts.address = meta.get("REMOTE_ADDR")
    if pipeline.countries.environ is not None:
        facts.country = meta.get(pipeline.countries.environ)
    stream = getattr(request, "_stream", None)  # the only place where both kinds of request read their body from
    if stream is not None and has_body(meta):
        announced = number_in(str(meta.get("CONTENT_LENGTH") or ""))
        request._stream = CountedInput(stream, facts, announced)  # type: ignore[assignment]  # noqa: SLF001 - as above
    return facts


def _note_response(facts: RequestFacts, response: HttpResponseBase, record: Callable[[], None]) -> bool:
    """Note kind and size; true when ``record`` will be called at the end of the stream."""
    facts.note_status(response.status_code)
    facts.is_page = response.headers.get("Content-Type", "").startswith("text/html")
    if isinstance(response, HttpResponse):
        facts.response_bytes = len(response.content)
        return False
    if isinstance(response, FileResponse):  # the server may send the file without us
        facts.response_bytes = number_in(response.headers.get("Content-Length"))
        return False
    if not isinstance(response, StreamingHttpResponse):
        return False
    content: Any = response.streaming_content
    counted: Any = _counted_async(content, facts) if response.is_async else _counted(content, facts)
    response.streaming_content = counted
    response._resource_closers.append(record)  # type: ignore[attr-defined]  # noqa: SLF001 - Django's only hook for it
    return True


def _counted(content: Iterator[bytes], facts: RequestFacts) -> Iterator[bytes]:
    for chunk in content:
        facts.response_bytes += len(chunk)
        facts.note_piece(len(chunk))
        yield chunk
    facts.whole = True


async def _counted_async(content: AsyncIterator[bytes], facts: RequestFacts) -> AsyncIterator[bytes]:
    async for chunk in content:
        facts.response_bytes += len(chunk)
        facts.note_piece(len(chunk))
        yield chunk
    facts.whole = True


@receiver(got_request_exception, dispatch_uid="calos_telemetry")
def _note_exception(request: HttpRequest | None = None, **_: object) -> None:
    """Note the exception that nobody handled, in a view or in a middleware; Django itself turns it into a response."""
    facts = getattr(request, "META", {}).get(FACTS)
    error = sys.exception()
    if isinstance(facts, RequestFacts) and error is not None:
        facts.note_failure(error)


def telemetry_urls(telemetry: Telemetry | None = None, page: str = "") -> list[Any]:
    """Return the URL patterns of the operator's pages: ``path("api/telemetry/", include(telemetry_urls()))``.

    With ``page`` they are of that page: ``path("api/license/", include(telemetry_urls(page="/license")))``.
    """

    def answered(request: HttpRequest, rest: str = "") -> HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        base = request.path.removesuffix(rest).rstrip("/")
        peer = request.META.get("REMOTE_ADDR") if request.META.get("SERVER_PROTOCOL") != f"HTTP/{OLD_HTTP}" else None
        query = query_of(request.META.get("QUERY_STRING", ""))
        call = Call(request.method or "", f"{page}/{rest}", query, headers, peer, base)
        reply = answer(telemetry or default_telemetry(), call)
        back = {**dict(reply.headers), "Content-Length": str(len(reply.body))}
        return HttpResponse(reply.body, status=reply.status, headers=back)

    answered.csrf_exempt = True  # type: ignore[attr-defined]  # the pages refuse cross-site requests themselves
    answered.login_required = False  # type: ignore[attr-defined]  # they have a door of their own
    return [path("", answered), path("<path:rest>", answered)]


def _route(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return "/" + match.route.lstrip("^").lstrip("/") if match is not None else None


def _tags(request: HttpRequest) -> Sequence[str]:
    """Return the namespaces of the URL, the innermost first."""
    match = request.resolver_match
    return match.namespaces[::-1] if match is not None else ()


def _who(request: HttpRequest) -> tuple[object, object]:
    """Return user and session as far as the application has asked for them: we never ask its database.

    Django's user is lazy, and fetching it would be a query of ours, which in async code is even an error.
    """
    session = getattr(request, "session", None)
    loaded = getattr(session, "_session_cache", {})
    user = getattr(request, "_cached_user", None) or getattr(request, "_acached_user", None)
    if user is None:
        user = request.__dict__.get("user")
    if user is None or isinstance(user, LazyObject):
        return loaded.get(SESSION_KEY), getattr(session, "session_key", None)
    known = getattr(user, "is_authenticated", False)
    return (getattr(user, "pk", None) if known else None), getattr(session, "session_key", None)
