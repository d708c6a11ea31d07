"""Django, under WSGI and ASGI alike: two entries in ``MIDDLEWARE`` and one in ``urlpatterns``.

The user is ``request.user`` where Django's authentication knows one; the session is Django's own session key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path

from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.license.gates import headers_of
from calos_telemetry.sdk.record.facts import RequestFacts, current
from calos_telemetry.sdk.telemetry import Telemetry, default_telemetry
from calos_telemetry.sdk.viewer.pages import Call, answer, query_of

_FAILED = 500


class TelemetryMiddleware:
    """Records every request; works in sync and async stacks."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._telemetry = default_telemetry()
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer one request."""
        return self._answer_async(request) if self._async else self._answer(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Remember an unhandled exception; Django itself turns it into a response."""
        facts = getattr(request, "calos_facts", None)
        if facts is not None:
            facts.error = exception

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        facts, started = self._begin(request), perf_counter_ns()
        token = current.set(facts)
        response: HttpResponseBase | None = None
        try:
            response = self._get_response(request)
        finally:
            current.reset(token)
            self._finish(facts, request, response, started)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        facts, started = self._begin(request), perf_counter_ns()
        token = current.set(facts)
        response: HttpResponseBase | None = None
        try:
            response = await self._get_response(request)
        finally:
            current.reset(token)
            self._finish(facts, request, response, started)
        return response

    def _begin(self, request: HttpRequest) -> RequestFacts | None:
        pipeline = self._telemetry.pipeline
        if pipeline is None:
            return None
        meta = request.META
        facts = RequestFacts(pipeline, now_ms(), request.method or "", request.path, meta.get("HTTP_HOST", ""))
        facts.user_agent = meta.get("HTTP_USER_AGENT")
        facts.private = meta.get("HTTP_SEC_GPC") == "1"
        facts.address = meta.get("REMOTE_ADDR")
        if pipeline.countries.environ is not None:
            facts.country = meta.get(pipeline.countries.environ)
        length = meta.get("CONTENT_LENGTH") or "0"
        facts.request_bytes = int(length) if str(length).isdigit() else 0
        request.calos_facts = facts  # type: ignore[attr-defined]
        return facts

    def _finish(
        self, facts: RequestFacts | None, request: HttpRequest, response: HttpResponseBase | None, started: int
    ) -> None:
        if facts is None:
            return
        try:
            facts.duration_us = (perf_counter_ns() - started) // 1_000
            facts.status = response.status_code if response is not None else _FAILED
            if isinstance(response, HttpResponse):
                facts.response_bytes = len(response.content)
                facts.is_page = response.headers.get("Content-Type", "").startswith("text/html")
            facts.route = _route(request)
            facts.user, facts.session = _who(request)
            self._telemetry.record(facts)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._telemetry.swallow(error)


class LicenseMiddleware:
    """Attaches the license state as ``request.license`` and says it in the ``X-License-*`` headers."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._telemetry = default_telemetry()
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer one request."""
        request.license = self._telemetry.license  # type: ignore[attr-defined]
        return self._answer_async(request) if self._async else self._labelled(self._get_response(request))

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        return self._labelled(await self._get_response(request))

    def _labelled(self, response: HttpResponseBase) -> HttpResponseBase:
        for name, value in headers_of(self._telemetry.license):
            response.headers[name] = value
        return response


def telemetry_urls(telemetry: Telemetry | None = None) -> list[Any]:
    """Return the URL patterns of the operator's pages: ``path("api/telemetry/", include(telemetry_urls()))``."""

    def page(request: HttpRequest, rest: str = "") -> HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        base = request.path.removesuffix(rest).rstrip("/")
        peer = request.META.get("REMOTE_ADDR")
        query = query_of(request.META.get("QUERY_STRING", ""))
        call = Call(request.method or "", "/" + rest, query, headers, peer, base)
        reply = answer(telemetry or default_telemetry(), call)
        back = {**dict(reply.headers), "Content-Length": str(len(reply.body))}
        return HttpResponse(reply.body, status=reply.status, headers=back)

    page.csrf_exempt = True  # type: ignore[attr-defined]  # the pages refuse cross-site requests themselves
    return [path("", page), path("<path:rest>", page)]


def _route(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return "/" + match.route.lstrip("^").lstrip("/") if match is not None else None


def _who(request: HttpRequest) -> tuple[object, object]:
    user = getattr(request, "user", None)
    session = getattr(request, "session", None)
    known = getattr(user, "is_authenticated", False)
    return (getattr(user, "pk", None) if known else None), getattr(session, "session_key", None)
