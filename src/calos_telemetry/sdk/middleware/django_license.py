"""Django's license middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from calos_telemetry.sdk.license.attached import LICENSE, attached
from calos_telemetry.sdk.license.labels import Labeller, Labels
from calos_telemetry.sdk.middleware.django_stacks import BothStacks


class LicenseMiddleware(BothStacks):
    """Attaches the license state as ``request.license`` and says it in the ``X-License-*`` headers."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._labeller = Labeller(self.telemetry)

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request of a sync stack."""
        labels = self._attach(request)
        token = attached.set(_holder(request, labels))
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            attached.reset(token)
        return _labelled(response, labels)

    async def answer_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request of an async stack."""
        labels = self._attach(request)
        token = attached.set(_holder(request, labels))
        try:
            response: HttpResponseBase = await self.get_response(request)
        finally:
            attached.reset(token)
        return _labelled(response, labels)

    def _attach(self, request: HttpRequest) -> Labels | None:
        try:
            meta = request.META
            labels = self._labeller.labels(meta.get("HTTP_HOST") or meta.get("SERVER_NAME", ""))
            request.license = labels.state  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._labeller.swallow(error)
            return None
        return labels


def _holder(request: HttpRequest, labels: Labels | None) -> dict[str, Any]:
    """Return what an ASGI scope would hold: the state, and who answers."""
    return {LICENSE: labels.state if labels is not None else None, "app": request}


def _labelled(response: HttpResponseBase, labels: Labels | None) -> HttpResponseBase:
    for name, value in labels.wsgi if labels is not None else ():
        response.headers[name] = value
    return response
