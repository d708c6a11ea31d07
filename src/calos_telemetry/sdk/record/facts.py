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
    """One request as the middleware saw it.  Times: ``at`` unix ms, ``duration_us`` µs; sizes in bytes.

    What most requests leave at its default is a class attribute: setting each on every request would cost as much as
    reading the headers.
    """

    route: str | None = None
    status = 0
    duration_us = 0
    request_bytes = 0
    response_bytes = 0
    announced = 0  # bytes of the response by its header, for a body that only the server sees
    user: object = None
    session: object = None
    user_agent: str | None = None
    address: str | None = None
    country: str | None = None  # the header of CALOS_COUNTRY_HEADER, as it came
    private = False
    own = False  # a request for the operator's pages: no use of the product
    is_page = False
    error: BaseException | None = None
    covered = False  # a middleware inside OpenTelemetry's span records the request
    feature: str | None = None  # what @feature says
    tags: Sequence[object] = ()  # of the route, as the framework keeps them

    def __init__(self, pipeline: Pipeline, at: int, method: str, path: str, host: str) -> None:
        self.pipeline = pipeline
        self.at = at
        self.method = method
        self.path = path
        self.host = host
        self.queries: list[Query] | None = []  # taken out when the request is recorded
        if pipeline.spans and (outer := current.get()) is not None:
            outer.covered = True


current: ContextVar[RequestFacts | None] = ContextVar("calos_telemetry_request", default=None)
"""The request being answered, for code that has no request object at hand."""
