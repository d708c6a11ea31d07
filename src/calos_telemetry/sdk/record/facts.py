"""What a source of facts (a middleware, an instrument) hands to the pipeline: raw, in memory only, never written."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, TypeAlias

Query: TypeAlias = tuple[str, int]
"""One database query: operation and table, µs."""

FAILED: Final = 500
"""The status of a request that the application has not answered: the server does it."""
CLIENT_LEFT: Final = 499
"""The status of a request whose client went away before there was an answer; nginx calls it so."""
_FIRST_FAILURE: Final = 400
_BODILESS: Final = frozenset({204, 304})

if TYPE_CHECKING:
    from calos_telemetry.sdk.record.pipeline import Pipeline


class RequestFacts:
    """One request as the middleware saw it.  Times: ``at`` unix ms, ``duration_us`` µs; sizes in bytes.

    What most requests leave at its default is a class attribute: setting each on every request would cost as much as
    reading the headers.
    """

    route: str | None = None
    status = 0
    duration_us = 0  # until the answer was whole; of a streamed one, until it began
    streamed_us: int | None = None  # how long a streamed answer or a websocket went on from there
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
    style: str | None = None  # where the middleware knows it: a websocket
    whole = False  # the application has handed out the whole response
    began_us: int | None = None  # when the first of several pieces was handed out, or a websocket was accepted
    streams = False  # a second one followed
    disconnected = False  # the client left before the response was whole
    cut: OSError | None = None  # with which the server told the application so
    error: BaseException | None = None
    covered = False  # a middleware inside OpenTelemetry's span records the request
    feature: str | None = None  # what @feature says
    tags: Sequence[object] = ()  # of the route, as the framework keeps them

    def __init__(self, pipeline: Pipeline, at: int, method: str, path: str, host: str) -> None:
        self.pipeline = pipeline
        self.at = at
        self.started = perf_counter_ns()
        self.method = method
        self.path = path
        self.host = host
        self.queries: list[Query] | None = []  # taken out when the request is recorded
        if pipeline.spans and (outer := current.get()) is not None:
            outer.covered = True

    def elapsed_us(self) -> int:
        """Return the time since the request began, in µs."""
        return (perf_counter_ns() - self.started) // 1_000

    def note_status(self, status: int) -> None:
        """Note what the application answers; a failure that nobody is there to see has become the client's."""
        self.status = CLIENT_LEFT if self.disconnected and status >= _FIRST_FAILURE else status

    def note_piece(self, size: int) -> None:
        """Note a piece of a response that comes in several."""
        if size and self.began_us is not None:
            self.streams = True
        elif size:
            self.began_us = self.elapsed_us()

    def note_closed(self) -> None:
        """Note that the server has closed the response: a client is gone if there was more to come."""
        if self.whole or self.method == "HEAD" or self.status in _BODILESS or 0 < self.announced <= self.response_bytes:
            return
        self.disconnected = True

    def note_failure(self, error: BaseException) -> None:
        """Note with what the application ended, unless that only says that the client is gone."""
        if is_cancellation(error):
            self.disconnected = self.disconnected or not self.whole
        elif isinstance(error, Exception) and not is_departure(error, self.cut):
            self.error = error

    def end(self) -> None:
        """Note that the request is over."""
        self.duration_us = elapsed = (perf_counter_ns() - self.started) // 1_000
        if self.began_us is not None and (self.streams or not self.whole):
            self.duration_us, self.streamed_us = self.began_us, elapsed - self.began_us
        if not self.status:
            self.status = CLIENT_LEFT if self.disconnected else FAILED


_CANCELLATIONS = frozenset({"CancelledError", "Cancelled"})  # of asyncio and trio, which need not be there
_DEPARTURES = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect", "UnreadablePostError"})


def is_cancellation(error: BaseException) -> bool:
    """Say whether the server has cancelled the request, which it does when the connection is gone."""
    return not isinstance(error, Exception) and type(error).__name__ in _CANCELLATIONS


def is_departure(error: BaseException, cut: OSError | None) -> bool:
    """Say whether ``error`` is a framework's word for a client that left, or the server's own (``cut``)."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_departure(one, cut) for one in error.exceptions)
    return error is cut or type(error).__name__ in _DEPARTURES


current: ContextVar[RequestFacts | None] = ContextVar("calos_telemetry_request", default=None)
"""The request being answered, for code that has no request object at hand."""
