"""The six tables of DESIGN §4.3, with the same names and columns on both sides.

Times are unix milliseconds, durations µs.  A column's ``comment`` is what an operator reads in the documentation.
Events are kept compact (``store.event_rows``) and read through the view ``telemetry_events``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

telemetry = MetaData()
views = MetaData()


def _install() -> Column[str]:
    return Column("install_id", String(32), nullable=False, comment="the install, 32 hex digits")


def _revision() -> Column[int]:
    return Column("revision", BigInteger, nullable=False, comment="drain that last changed the row, unix ms")


events = Table(
    "telemetry_events",
    views,
    Column("event_id", String(32), primary_key=True, comment="hex digits, the same for the same event"),
    _install(),
    Column("event_type", String(20), nullable=False, comment="api_request, feature_usage, error, session, performance"),
    Column("event_data", Text, nullable=False, comment="the obfuscated event as JSON"),
    Column("created_at", BigInteger, nullable=False, comment="when it happened, unix ms"),
)
"""A view: to be read only."""

event_parts = Table(
    "telemetry_event_parts",
    telemetry,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="number of the part"),
    Column("mark", BigInteger, nullable=False, comment="hash of the next three"),
    _install(),
    Column("event_type", String(20), nullable=False, comment="type of the event, or client"),
    Column("data", Text, nullable=False, comment="what many events have in common, as JSON"),
    Column("used_on", Integer, nullable=False, comment="day of the newest event that has it, since 1970-01-01"),
    Index("telemetry_event_parts_mark", "mark", unique=True),
)

event_rows = Table(
    "telemetry_event_rows",
    telemetry,
    Column("created_at", BigInteger, nullable=False, comment="when it happened, unix ms"),
    Column("event_id", LargeBinary, nullable=False, comment="8 bytes for a line of a log, 16 for a spooled event"),
    Column("part", Integer, nullable=False, comment="what it has in common with others"),
    Column("client", Integer, comment="browser, operating system and country"),
    Column("duration_us", BigInteger, comment="elapsed time, µs"),
    Column("request_bytes", BigInteger, comment="bytes of the request body"),
    Column("response_bytes", BigInteger, comment="bytes of the response body"),
    Column("database_us", BigInteger, comment="time spent in the database, µs"),
    Column("database_queries", BigInteger, comment="number of database queries"),
    Column("session_hash", LargeBinary, comment="keyed hash of the session"),
    Column("user_hash", LargeBinary, comment="keyed hash of the user"),
    Column("rest", Text, comment="what only this event has, as JSON"),
    PrimaryKeyConstraint("created_at", "event_id"),
    sqlite_with_rowid=False,
)

log_lines = Table(
    "telemetry_log_lines",
    telemetry,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="id of an imported line, as a number"),
    sqlite_with_rowid=False,
)

buckets = Table(
    "telemetry_buckets",
    telemetry,
    Column("bucket", Integer, primary_key=True, autoincrement=False, comment="number in a histogram"),
    Column("value", BigInteger, nullable=False, comment="µs in the middle of the bucket"),
)

features = Table(
    "telemetry_features",
    telemetry,
    _install(),
    Column("feature", String(120), nullable=False, comment="name of the feature"),
    Column("usage_count", BigInteger, nullable=False, comment="uses, ever"),
    Column("first_used_at", BigInteger, nullable=False, comment="unix ms"),
    Column("last_used_at", BigInteger, nullable=False, comment="unix ms"),
    _revision(),
    PrimaryKeyConstraint("install_id", "feature"),
    Index("telemetry_features_revision", "install_id", "revision"),
    sqlite_with_rowid=False,
)

errors = Table(
    "telemetry_errors",
    telemetry,
    _install(),
    Column("fingerprint", String(16), nullable=False, comment="hash of type, name, innermost frame and template"),
    Column("type", String(20), nullable=False, comment="kind of failure, from a closed list"),
    Column("name", String(120), nullable=False, comment="class of the exception"),
    Column("message", Text, nullable=False, comment="scrubbed message of the first occurrence"),
    Column("stack", Text, nullable=False, comment="at most five scrubbed lines, innermost first"),
    Column("path", String(200), comment="template of the request"),
    Column("method", String(8), comment="HTTP method of the request"),
    Column("status_code", Integer, comment="HTTP status code of the request"),
    Column("occurrence_count", BigInteger, nullable=False, comment="occurrences, ever"),
    Column("first_seen_at", BigInteger, nullable=False, comment="unix ms"),
    Column("last_seen_at", BigInteger, nullable=False, comment="unix ms"),
    _revision(),
    PrimaryKeyConstraint("install_id", "fingerprint"),
    Index("telemetry_errors_revision", "install_id", "revision"),
)

performance = Table(
    "telemetry_performance",
    telemetry,
    _install(),
    Column("period", BigInteger, nullable=False, comment="start of the hour (install) or day (vendor), unix ms"),
    Column("metric", String(40), nullable=False, comment="api_request, transaction, database_query"),
    Column("method", String(8), nullable=False, comment="HTTP method, or empty"),
    Column("path", String(200), nullable=False, comment="template, or name of the operation"),
    Column("status", Integer, nullable=False, comment="HTTP status code, or 0"),
    Column("count", BigInteger, nullable=False, comment="measurements"),
    Column("total", BigInteger, nullable=False, comment="sum of durations, µs"),
    Column("max", BigInteger, nullable=False, comment="longest duration, µs"),
    Column("histogram", Text, nullable=False, comment="latency bucket → count, as JSON"),
    _revision(),
    PrimaryKeyConstraint("install_id", "period", "metric", "method", "path", "status"),
    Index("telemetry_performance_revision", "install_id", "revision"),
    sqlite_with_rowid=False,
)

latency = Table(
    "telemetry_latency",
    views,
    _install(),
    Column("period", BigInteger, nullable=False, comment="start of the hour (install) or day (vendor), unix ms"),
    Column("metric", String(40), nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", String(200), nullable=False),
    Column("status", Integer, nullable=False),
    Column("bucket", Integer, nullable=False, comment="number in the histogram"),
    Column("count", BigInteger, nullable=False, comment="measurements in the bucket"),
)
"""A view: the histograms of ``telemetry_performance``, a row for each bucket."""

sessions = Table(
    "telemetry_sessions",
    telemetry,
    _install(),
    Column("session_hash", String(16), nullable=False, comment="keyed hash of the session"),
    Column("started_at", BigInteger, nullable=False, comment="unix ms"),
    Column("user_hash", String(16), comment="keyed hash of the user"),
    Column("last_seen_at", BigInteger, nullable=False, comment="unix ms"),
    Column("duration_seconds", BigInteger, nullable=False, comment="from the first to the last request"),
    Column("requests", BigInteger, nullable=False, comment="requests in the session"),
    _revision(),
    Column("features", Text, comment="feature → first use in it (unix ms), as JSON"),
    PrimaryKeyConstraint("install_id", "session_hash", "started_at"),
    Index("telemetry_sessions_started_at", "started_at"),
    sqlite_with_rowid=False,
)

user_days = Table(
    "telemetry_user_days",
    telemetry,
    Column("user_hash", LargeBinary, nullable=False, comment="keyed hash of the user, 8 bytes"),
    Column("day", Integer, nullable=False, comment="a day of activity, since 1970-01-01"),
    PrimaryKeyConstraint("user_hash", "day"),
    sqlite_with_rowid=False,
)

aggregates = Table(
    "telemetry_aggregates",
    telemetry,
    _install(),
    Column("date", String(10), nullable=False, comment="UTC date, YYYY-MM-DD"),
    Column("counter", String(40), nullable=False, comment="what is counted, from the list of counters"),
    Column("key", String(200), nullable=False, comment="which one of them"),
    Column("value", BigInteger, nullable=False, comment="the count"),
    _revision(),
    PrimaryKeyConstraint("install_id", "date", "counter", "key"),
    Index("telemetry_aggregates_revision", "install_id", "revision"),
    sqlite_with_rowid=False,
)
