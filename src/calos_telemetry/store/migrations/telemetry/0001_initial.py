"""The first telemetry tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "telemetry_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "telemetry_aggregates",
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column("date", sa.String(length=10), nullable=False, comment="UTC date, YYYY-MM-DD"),
        sa.Column(
            "counter", sa.String(length=40), nullable=False, comment="what is counted, from the list of counters"
        ),
        sa.Column("key", sa.String(length=200), nullable=False, comment="which one of them"),
        sa.Column("value", sa.BigInteger(), nullable=False, comment="the count"),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="drain that last changed the row, unix ms"),
        sa.PrimaryKeyConstraint("install_id", "date", "counter", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("telemetry_aggregates_revision", "telemetry_aggregates", ["install_id", "revision"], unique=False)
    op.create_table(
        "telemetry_errors",
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column(
            "fingerprint",
            sa.String(length=16),
            nullable=False,
            comment="hash of type, name, innermost frame and template",
        ),
        sa.Column("type", sa.String(length=20), nullable=False, comment="kind of failure, from a closed list"),
        sa.Column("name", sa.String(length=120), nullable=False, comment="class of the exception"),
        sa.Column("message", sa.Text(), nullable=False, comment="scrubbed message of the first occurrence"),
        sa.Column("stack", sa.Text(), nullable=False, comment="at most five scrubbed lines, innermost first"),
        sa.Column("path", sa.String(length=200), nullable=True, comment="template of the request"),
        sa.Column("method", sa.String(length=8), nullable=True, comment="HTTP method of the request"),
        sa.Column("status_code", sa.Integer(), nullable=True, comment="HTTP status code of the request"),
        sa.Column("occurrence_count", sa.BigInteger(), nullable=False, comment="occurrences, ever"),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="drain that last changed the row, unix ms"),
        sa.PrimaryKeyConstraint("install_id", "fingerprint"),
    )
    op.create_index("telemetry_errors_revision", "telemetry_errors", ["install_id", "revision"], unique=False)
    op.create_table(
        "telemetry_events",
        sa.Column(
            "event_id", sa.String(length=32), nullable=False, comment="32 hex digits, the same for the same event"
        ),
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column(
            "event_type",
            sa.String(length=20),
            nullable=False,
            comment="api_request, feature_usage, error, session, performance",
        ),
        sa.Column("event_data", sa.Text(), nullable=False, comment="the obfuscated event as JSON"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="when it happened, unix ms"),
        sa.PrimaryKeyConstraint("event_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("telemetry_events_created_at", "telemetry_events", ["created_at"], unique=False)
    op.create_table(
        "telemetry_features",
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column("feature", sa.String(length=120), nullable=False, comment="name of the feature"),
        sa.Column("usage_count", sa.BigInteger(), nullable=False, comment="uses, ever"),
        sa.Column("first_used_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="drain that last changed the row, unix ms"),
        sa.PrimaryKeyConstraint("install_id", "feature"),
        sqlite_with_rowid=False,
    )
    op.create_index("telemetry_features_revision", "telemetry_features", ["install_id", "revision"], unique=False)
    op.create_table(
        "telemetry_performance",
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column(
            "period", sa.BigInteger(), nullable=False, comment="start of the hour (install) or day (vendor), unix ms"
        ),
        sa.Column("metric", sa.String(length=40), nullable=False, comment="api_request, transaction, database_query"),
        sa.Column("method", sa.String(length=8), nullable=False, comment="HTTP method, or empty"),
        sa.Column("path", sa.String(length=200), nullable=False, comment="template, or name of the operation"),
        sa.Column("status", sa.Integer(), nullable=False, comment="HTTP status code, or 0"),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="measurements"),
        sa.Column("total", sa.BigInteger(), nullable=False, comment="sum of durations, µs"),
        sa.Column("max", sa.BigInteger(), nullable=False, comment="longest duration, µs"),
        sa.Column("histogram", sa.Text(), nullable=False, comment="latency bucket → count, as JSON"),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="drain that last changed the row, unix ms"),
        sa.PrimaryKeyConstraint("install_id", "period", "metric", "method", "path", "status"),
        sqlite_with_rowid=False,
    )
    op.create_index("telemetry_performance_revision", "telemetry_performance", ["install_id", "revision"], unique=False)
    op.create_table(
        "telemetry_sessions",
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column("session_hash", sa.String(length=16), nullable=False, comment="keyed hash of the session"),
        sa.Column("started_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("user_hash", sa.String(length=16), nullable=True, comment="keyed hash of the user"),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("duration_seconds", sa.BigInteger(), nullable=False, comment="from the first to the last request"),
        sa.Column("requests", sa.BigInteger(), nullable=False, comment="requests in the session"),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="drain that last changed the row, unix ms"),
        sa.PrimaryKeyConstraint("install_id", "session_hash", "started_at"),
        sqlite_with_rowid=False,
    )
    op.create_index("telemetry_sessions_started_at", "telemetry_sessions", ["started_at"], unique=False)


def downgrade() -> None:
    """Remove the tables."""
    op.drop_index("telemetry_sessions_started_at", table_name="telemetry_sessions")
    op.drop_table("telemetry_sessions")
    op.drop_index("telemetry_performance_revision", table_name="telemetry_performance")
    op.drop_table("telemetry_performance")
    op.drop_index("telemetry_features_revision", table_name="telemetry_features")
    op.drop_table("telemetry_features")
    op.drop_index("telemetry_events_created_at", table_name="telemetry_events")
    op.drop_table("telemetry_events")
    op.drop_index("telemetry_errors_revision", table_name="telemetry_errors")
    op.drop_table("telemetry_errors")
    op.drop_index("telemetry_aggregates_revision", table_name="telemetry_aggregates")
    op.drop_table("telemetry_aggregates")
