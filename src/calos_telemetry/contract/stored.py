"""What stays on the install: the columns of its tables that are not in a row that leaves, declared like any field.

The tables themselves are built in ``store``; the linter of the catalogue compares both, so that no column is undeclared.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from calos_telemetry.contract.fields import INSTALL_ID, Count, Moment, Sensitivity, declared
from calos_telemetry.contract.rows import Revision

_INTERACTION = Sensitivity.INTERACTION
_PSEUDONYMOUS = Sensitivity.PSEUDONYMOUS

InstallId = Annotated[
    str,
    declared("random number of the install, 32 hex digits", "keeps installs apart", _PSEUDONYMOUS, pattern=INSTALL_ID),
]


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """What every row of a telemetry table carries beside what leaves: whose it is."""

    install_id: InstallId


class StoredEvent(Owned, frozen=True, kw_only=True):
    """telemetry_events: one obfuscated event."""

    event_id: Annotated[str, declared("number of the event, hex digits", "an event is stored once", max_length=32)]
    event_type: Annotated[str, declared("which of the five events it is", "tells events apart", max_length=20)]
    event_data: Annotated[str, declared("the event as JSON, field by field as declared above", "feeds the rollups")]
    created_at: Annotated[Moment, declared("when it happened, unix ms", "sorts events and ends their retention")]


class StoredPart(Owned, frozen=True, kw_only=True):
    """telemetry_event_parts: what many events have in common, once."""

    id: Annotated[Count, declared("number of the part", "lets an event refer to it")]
    mark: Annotated[int, declared("hash of what is in it", "finds it again")]
    event_type: Annotated[str, declared("type of the events it belongs to, or client", "tells parts apart")]
    data: Annotated[str, declared("fields of the events, as JSON", "is kept once for many events")]
    used_on: Annotated[Count, declared("day of the newest event that has it", "ends its retention")]


class StoredRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_event_rows: what only one event has; the view telemetry_events puts it together again."""

    created_at: Annotated[Moment, declared("when it happened, unix ms", "sorts events and ends their retention")]
    event_id: Annotated[bytes, declared("number of the event", "an event is stored once")]
    part: Annotated[Count, declared("number of what it has in common with others", "keeps the file small")]
    client: Annotated[Count, declared("number of its browser, system and country", "keeps the file small")] | None
    duration_us: Annotated[Count, declared("elapsed time in µs", "shows what is slow")] | None
    request_bytes: Annotated[Count, declared("size of the request body in bytes", "plans bandwidth")] | None
    response_bytes: Annotated[Count, declared("size of the response body in bytes", "plans bandwidth")] | None
    database_us: Annotated[Count, declared("time spent in the database in µs", "shows where time goes")] | None
    database_queries: Annotated[Count, declared("number of database queries", "shows where time goes")] | None
    session_hash: Annotated[bytes, declared("keyed hash of the session", "tells sessions apart", _PSEUDONYMOUS)] | None
    user_hash: Annotated[bytes, declared("keyed hash of the user", "counts active users", _PSEUDONYMOUS)] | None
    rest: Annotated[str, declared("the other fields that only it has, as JSON", "keeps the event whole")] | None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_log_lines: which lines of access logs were imported."""

    id: Annotated[int, declared("keyed hash of the line", "imports a line once", _PSEUDONYMOUS)]


class BucketRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_buckets: what the numbers in a histogram stand for."""

    bucket: Annotated[Count, declared("number in a histogram", "lets SQL read percentiles")]
    value: Annotated[Count, declared("µs in the middle of the bucket", "lets SQL read percentiles")]


class SessionRow(Owned, frozen=True, kw_only=True):
    """telemetry_sessions: one session of a visitor."""

    session_hash: Annotated[str, declared("keyed hash of the session", "tells sessions apart", _PSEUDONYMOUS)]
    user_hash: Annotated[str, declared("keyed hash of the user", "counts active users", _PSEUDONYMOUS)] | None
    started_at: Annotated[Moment, declared("first request, unix ms", "measures sessions", _INTERACTION)]
    last_seen_at: Annotated[Moment, declared("last request, unix ms", "measures sessions", _INTERACTION)]
    duration_seconds: Annotated[
        Count, declared("from the first to the last request, in seconds", "measures sessions", _INTERACTION)
    ]
    requests: Annotated[Count, declared("requests in the session", "measures sessions", _INTERACTION)]
    revision: Revision
    features: (
        Annotated[
            str, declared("feature → first use in it (unix ms), as JSON", "shows what is used together", _INTERACTION)
        ]
        | None
    )


class UserDay(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_user_days: who was active on which day."""

    user_hash: Annotated[bytes, declared("keyed hash of the user", "counts active users", _PSEUDONYMOUS)]
    day: Annotated[Count, declared("a day of activity, since 1970-01-01", "counts active users", _PSEUDONYMOUS)]


class PerformanceHour(Owned, frozen=True, kw_only=True):
    """telemetry_performance on the install: hours, which a report folds into days."""

    period: Annotated[Moment, declared("start of the hour, unix ms", "shows when it was slow")]


class BooksRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_books: where the events went."""

    entry: Annotated[str, declared("stored, or dropped and the reason", "balances the books", max_length=80)]
    events: Annotated[Count, declared("events, ever", "balances the books")]


class SpoolCursor(msgspec.Struct, frozen=True, kw_only=True):
    """spool_cursors: how far each spool file is in the database."""

    file_id: Annotated[str, declared("random number of the spool file", "stores each event once", max_length=32)]
    position: Annotated[Count, declared("length in bytes of what is in the database", "stores each event once")]
    drained_at: Annotated[Moment, declared("when that was, unix ms", "forgets files that are long gone")]


class UpkeepRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_upkeep: when the nightly work was done."""

    job: Annotated[str, declared("what is done every night", "shows whether it happens", max_length=40)]
    done_at: Annotated[Moment, declared("when it was done last, unix ms", "shows whether it happens")]


class OwnerRow(Owned, frozen=True, kw_only=True):
    """telemetry_owner: the install whose tables these are."""

    number: Annotated[Count, declared("always 1: there is one owner", "keeps installs apart")]


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_reports: every exchange, byte for byte, with its receipt."""

    number: Annotated[Count, declared("number of the exchange, rising by one", "puts reports in order")]
    digest: Annotated[str, declared("SHA-256 of the body, hex", "proves what was sent", max_length=64)]
    body: Annotated[bytes, declared("exactly the bytes that travel, gzip JSON", "shows what is sent")]
    rows: Annotated[Count, declared("telemetry rows in it", "tells reports from mere license checks")]
    from_revision: Annotated[Count, declared("rows changed after this revision are in it", "finds what is new")]
    to_revision: Annotated[Count, declared("rows changed up to this revision are in it", "finds what is new")]
    state: Annotated[
        str,
        declared("sealed, acknowledged, refused, withdrawn, vetoed or quarantined", "says what to do", max_length=20),
    ]
    sealed_at: Annotated[Moment, declared("when the bytes were frozen, unix ms", "shows what was sent when")]
    attempts: Annotated[Count, declared("how often it was sent", "shows trouble on the way")]
    sent_at: Annotated[Moment, declared("last attempt, unix ms", "shows what was sent when")] | None
    answered_at: Annotated[Moment, declared("when the answer came, unix ms", "shows what was sent when")] | None
    outcome: Annotated[str, declared("what became of the last attempt, in words", "shows trouble on the way")] | None
    receipt_text: Annotated[str, declared("the vendor's receipt", "proves what arrived")] | None
    receipt_kid: Annotated[str, declared("name of the key that signed it", "finds the key to check with")] | None
    receipt_signature: Annotated[str, declared("its signature, base64url", "proves who received it")] | None


class CatalogueRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_catalogues: what reports can hold, from the first one that could hold it."""

    since: Annotated[Count, declared("number of the first report with them", "shows what an upgrade would newly send")]
    names: Annotated[
        str, declared("fields and counters that can leave, as JSON", "shows what an upgrade would newly send")
    ]


class ErasureRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_erasures: what was asked to be erased at the vendor, and the receipt for it."""

    requested_at: Annotated[Moment, declared("since then nothing leaves, unix ms", "keeps what is erased erased")]
    body: Annotated[bytes, declared("the request to the vendor, as it travels", "shows what was asked for")]
    receipt_text: Annotated[str, declared("the vendor's erasure receipt", "proves the erasure")] | None
    receipt_kid: Annotated[str, declared("name of the key that signed it", "finds the key to check with")] | None
    receipt_signature: Annotated[str, declared("its signature, base64url", "proves who erased")] | None


class SightingRow(msgspec.Struct, frozen=True, kw_only=True):
    """telemetry_sightings: how often a text was seen that no router vouches for."""

    kind: Annotated[str, declared("path (a guessed template) or message (of a failure)", "keeps rare texts here")]
    subject: Annotated[str, declared("the template, or the fingerprint of the failure", "keeps rare texts here")]
    times: Annotated[Count, declared("how often it was seen, until it became common", "keeps rare texts here")]
    users: Annotated[
        str, declared("keyed hashes of at most three users, until it became common", "counts who saw it", _PSEUDONYMOUS)
    ]
    users_known: Annotated[Count, declared("1 where any sighting had a user", "counts who saw it", _INTERACTION)]
    common_since: Annotated[Count, declared("revision from which it may leave; 0 before", "keeps rare texts here")]
    seen_at: Annotated[Moment, declared("last sighting until then, unix ms", "ends the retention of hashes")]


TABLES: tuple[tuple[str, type[msgspec.Struct], str], ...] = (
    ("telemetry_events", StoredEvent, "90 days"),
    ("telemetry_event_rows", StoredRow, "90 days"),
    ("telemetry_event_parts", StoredPart, "90 days"),
    ("telemetry_log_lines", LogLine, "for ever"),
    ("telemetry_buckets", BucketRow, "for ever"),
    ("telemetry_features", Owned, "for ever"),
    ("telemetry_errors", Owned, "for ever"),
    ("telemetry_performance", PerformanceHour, "90 days"),
    ("telemetry_sessions", SessionRow, "90 days"),
    ("telemetry_user_days", UserDay, "90 days"),
    ("telemetry_aggregates", Owned, "for ever"),
    ("telemetry_books", BooksRow, "for ever"),
    ("telemetry_upkeep", UpkeepRow, "for ever"),
    ("telemetry_owner", OwnerRow, "for ever"),
    ("telemetry_reports", LedgerRow, "400 days"),
    ("telemetry_catalogues", CatalogueRow, "for ever"),
    ("telemetry_erasures", ErasureRow, "for ever"),
    ("telemetry_sightings", SightingRow, "for ever"),
    ("spool_cursors", SpoolCursor, "7 days"),
)
"""The table, what its rows hold beside what leaves, and how long they are kept."""
