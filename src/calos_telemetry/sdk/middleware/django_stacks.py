"""What Django asks of a middleware of either stack, sync or async."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from calos_telemetry.sdk.telemetry import default_telemetry


class BothStacks(ABC):
    """What Django asks of a middleware that works in sync and async stacks."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.telemetry = default_telemetry()
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer one request."""
        return self.answer_async(request) if self._async else self.answer(request)

    @abstractmethod
    def answer(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request of a sync stack."""

    @abstractmethod
    async def answer_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request of an async stack."""
