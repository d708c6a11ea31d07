"""What a source of facts (a middleware, an instrument) hands to the pipeline: raw, in memory only, never written."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

Query: TypeAlias = tuple[str, int]
"""One database query: operation and table, µs."""

if TYPE_CHECKING:
    from calos_telemetry.sdk.record.pipeline import Pipeline


class RequestFacts:
    """One request as the middleware saw it.  Times: ``at`` unix ms, ``duration_us`` µs; sizes in bytes."""

    __slots__ = (
        "address",
        "at",
        "country",
        "duration_us",
        "error",
        "feature",
        "host",
        "is_page",
        "method",
        "path",
        "pipeline",
        "private",
        "queries",
        "request_bytes",
        "response_bytes",
        "route",
        "session",
        "status",
        "tags",
        "user",
        "user_agent",
    )

    def __init__(self, pipeline: Pipeline, at: int, method: str, path: str, host: str) -> None:
        self.pipeline = pipeline
        self.at = at
        self.method = method
        self.path = path
        self.host = host
        self.route: str | None = None
        self.status = 0
        self.duration_us = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.user: object = None
        self.session: object = None
        self.user_agent: str | None = None
        self.address: str | None = None
        self.country: str | None = None  # the header of CALOS_COUNTRY_HEADER, as it came
        self.private = False
        self.is_page = False
        self.error: BaseException | None = None
        self.feature: str | None = None  # what @feature says
        self.tags: Sequence[object] = ()  # of the route, as the framework keeps them
        self.queries: list[Query] | None = []  # taken out when the request is recorded


current: ContextVar[RequestFacts | None] = ContextVar("calos_telemetry_request", default=None)
"""The request being answered, for code that has no request object at hand."""
