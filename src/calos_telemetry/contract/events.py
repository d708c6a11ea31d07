"""The five events: what one obfuscated record may hold, and how it is written to the spool and to the database.

An event never carries its time or its id: those belong to the envelope (the spool record, the row).
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, TypeAlias

import msgspec

from calos_telemetry.contract.fields import (
    HASH,
    MAX_COUNT,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_PATH,
    MAX_STACK,
    Sensitivity,
    declared,
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
OTHER_METHOD = "OTHER"
UNMATCHED = "(unmatched)"
STYLES = frozenset({"rest", "graphql", "rpc", "websocket", "page", "static"})
DELIVERIES = frozenset({"streamed", "disconnected"})
METRICS = frozenset({"api_request", "slow_request", "database_query", "transaction", "failed_transaction"})
SLOW_REQUEST_US = 1_000_000
CATEGORIES = frozenset({"database", "network", "timeout", "validation", "authentication", "payment", "api", "other"})

MAX_BUCKET = 4_000

_INTERACTION = Sensitivity.INTERACTION
_PSEUDONYMOUS = Sensitivity.PSEUDONYMOUS

Method = Annotated[
    str, declared("HTTP method, or OTHER", "tells reading from changing", pattern=r"^[A-Z]{1,8}$", max_length=8)
]
Template = Annotated[
    str,
    declared("URL path with every identifier replaced by :id", "names the part of the product", max_length=MAX_PATH),
]
Inferred = Annotated[
    bool, declared("whether the template was guessed, not told by a router", "keeps rare ones in the install")
]
Status = Annotated[
    int,
    declared(
        "HTTP status code; 499 where the client left before the answer", "tells success from failure", ge=0, le=999
    ),
]
FeatureName = Annotated[
    str,
    declared("name of a product feature", "shows which features are used", _INTERACTION, max_length=MAX_NAME),
]
UserHash = Annotated[
    str,
    declared(
        "keyed hash of the user id, 16 hex digits; the key never leaves the install",
        "counts distinct users on the install",
        _PSEUDONYMOUS,
        pattern=HASH,
    ),
]
SessionHash = Annotated[
    str,
    declared("keyed hash of the session, 16 hex digits", "groups requests into sessions", _PSEUDONYMOUS, pattern=HASH),
]
Category = Annotated[str, declared("kind of failure, from a closed list", "shows what breaks", max_length=20)]
DurationUs = Annotated[int, declared("elapsed time in µs", "shows what is slow", ge=0, le=MAX_COUNT)]
Bytes = Annotated[int, declared("size of a body in bytes", "plans bandwidth", ge=0, le=MAX_COUNT)]
Country = Annotated[
    str,
    declared(
        "ISO 3166 country of the visitor; the address is not kept", "shows where the product is used", _INTERACTION,
        required=False, pattern=r"^[A-Z]{2}$",
    ),
]  # fmt: skip
Family = Annotated[
    str,
    declared("browser or operating system family", "decides what to support", _INTERACTION, required=False,
             max_length=40),
]  # fmt: skip
Style = Annotated[str, declared("style of the route, from a closed list", "shows REST against GraphQL", max_length=10)]


class ApiRequest(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One HTTP request that was answered.

    The pipeline gives its fields by position, once a request, because msgspec takes 0.5 µs for as many keywords; a new
    field goes to the end.
    """

    method: Method
    path: Template
    status: Status
    duration_us: DurationUs | None = None  # an access log does not tell it
    request_bytes: Bytes = 0
    response_bytes: Bytes = 0
    feature: FeatureName | None = None
    user: UserHash | None = None
    session: SessionHash | None = None
    country: Country | None = None
    browser: Family | None = None
    os: Family | None = None
    style: Style = "rest"
    error: Category | None = None
    inferred: Inferred = False
    database_us: Annotated[
        int,
        declared("time spent in the database in µs", "shows where requests spend their time", required=False, ge=0,
                 le=MAX_COUNT),
    ] = 0  # fmt: skip
    database_queries: Annotated[
        int,
        declared("number of database queries", "finds requests that ask too often", required=False, ge=0,
                 le=MAX_COUNT),
    ] = 0  # fmt: skip
    streamed_us: Annotated[
        int,
        declared("of a streamed answer or a websocket: how long it went on after it began, in µs; its elapsed time ends "
                 "where this begins", "tells streams from slow answers", ge=0, le=MAX_COUNT),
    ] | None = None  # fmt: skip
    disconnected: Annotated[
        bool,
        declared("whether the client left before the answer was whole", "tells visitors who leave from failures"),
    ] = False  # fmt: skip


VARYING = (
    "duration_us", "request_bytes", "response_bytes", "user", "session", "database_us", "database_queries", "streamed_us",
)  # fmt: skip
"""The fields of a request that hardly two requests have alike."""

CLIENT = ("country", "browser", "os")
"""The fields of a request that tell where and with what it was made; what is left falls into some dozens of kinds."""


class FeatureUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One use of a feature, reported by the application."""

    feature: FeatureName
    metadata: Annotated[
        dict[str, Any],
        declared("declared keys with closed values; everything else is [REDACTED]", "shows how a feature is used",
                 _INTERACTION, required=False),
    ] = {}  # fmt: skip
    user: UserHash | None = None
    session: SessionHash | None = None


class ErrorEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One failure: an unhandled exception, or one the application reported."""

    category: Category
    name: Annotated[str, declared("class of the exception", "groups failures", max_length=MAX_NAME)]
    message: Annotated[str, declared("scrubbed message", "explains the failure", required=False,
                                     max_length=MAX_MESSAGE)] = ""  # fmt: skip
    stack: Annotated[str, declared("at most five scrubbed lines, innermost first", "locates the failure",
                                   required=False, max_length=MAX_STACK)] = ""  # fmt: skip
    path: Template | None = None
    inferred: Inferred = False
    method: Method | None = None
    status: Status | None = None
    context: Annotated[
        dict[str, Any],
        declared("declared keys with closed values; everything else is [REDACTED]", "explains the failure",
                 required=False),
    ] = {}  # fmt: skip
    user: UserHash | None = None
    session: SessionHash | None = None


class SessionEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The application says that a session began or ended."""

    action: Annotated[str, declared("start or end", "measures sessions", _INTERACTION, pattern=r"^(start|end)$")]
    session: SessionHash
    user: UserHash | None = None


class Performance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured operation that is not a request (a transaction), or many of one name (database queries).

    Of many, ``duration_us`` is the longest, and ``total_us`` and ``buckets`` are there.
    """

    metric: Annotated[str, declared("what was measured, from a closed list", "shows what is slow", max_length=40)]
    duration_us: DurationUs
    name: Annotated[str, declared("name of the operation", "shows what is slow", max_length=MAX_NAME)] = ""
    success: Annotated[bool, declared("whether it succeeded", "shows what fails")] = True
    error: Category | None = None
    count: Annotated[int, declared("how many of them", "weighs the operation", ge=1, le=MAX_COUNT)] = 1
    total_us: Annotated[int, declared("sum of durations in µs", "shows time lost", ge=0, le=MAX_COUNT)] | None = None
    buckets: Annotated[
        dict[Annotated[int, msgspec.Meta(ge=0, le=MAX_BUCKET)], Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]],
        declared("latency bucket → count (log-linear, 5 bits)", "gives percentiles that can be merged"),
    ] | None = None  # fmt: skip
    slow: Annotated[int, declared("how many took longer than the threshold", "finds slow queries",
                                  required=False, ge=0, le=MAX_COUNT)] = 0  # fmt: skip


Event: TypeAlias = ApiRequest | FeatureUsage | ErrorEvent | SessionEvent | Performance

EVENT_TYPES: dict[str, type[Event]] = {
    "api_request": ApiRequest,
    "feature_usage": FeatureUsage,
    "error": ErrorEvent,
    "session": SessionEvent,
    "performance": Performance,
}
TYPE_NAMES: dict[type[Event], str] = {kind: name for name, kind in EVENT_TYPES.items()}

# Spool record: u8 number of the type, u64 unix ms, MessagePack map.  Numbers are never reused.
_HEAD = struct.Struct("<BQ")
_NUMBERS: dict[type[Event], int] = {kind: number for number, kind in enumerate(EVENT_TYPES.values(), start=1)}
_DECODERS: dict[int, msgspec.msgpack.Decoder[Event]] = {
    number: msgspec.msgpack.Decoder(kind) for kind, number in _NUMBERS.items()
}
_encode = msgspec.msgpack.Encoder().encode
_head = _HEAD.pack
_encode_json = msgspec.json.Encoder().encode


def to_record(at: int, event: Event) -> bytes:
    """Return the spool record of ``event`` that happened at ``at`` (unix ms)."""
    return _head(_NUMBERS[type(event)], at) + _encode(event)


def from_record(record: bytes) -> tuple[int, Event]:
    """Read a spool record: ``(unix ms, event)``.  Raises ``ValueError`` on a record this code does not know."""
    if len(record) < _HEAD.size:
        raise ValueError("a spool record is shorter than its head")
    number, at = _HEAD.unpack_from(record)
    decoder = _DECODERS.get(number)
    if decoder is None:
        raise ValueError(f"a spool record holds event type {number}, which this version does not know")
    return at, decoder.decode(memoryview(record)[_HEAD.size :])


def to_json(event: Event) -> str:
    """Return the ``event_data`` of a row."""
    return _encode_json(event).decode()


def from_json(event_type: str, event_data: str) -> Event:
    """Read the ``event_data`` of a row of ``event_type``.  Raises ``ValueError`` (msgspec's own is one)."""
    kind = EVENT_TYPES.get(event_type)
    if kind is None:
        raise ValueError(f"{event_type!r} is not an event type")
    return msgspec.json.decode(event_data, type=kind)
