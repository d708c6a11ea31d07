"""Events in compact rows behind the view telemetry_events; days, percentiles and the documented calls as SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from calos_telemetry.contract.fields import MAX_COUNT
from calos_telemetry.contract.histogram import bucket_of, value_of
from calos_telemetry.store import views_sql
from calos_telemetry.store.event_rows import EventRow, write_events
from calos_telemetry.store.log_lines import DIGITS, remember_lines
from calos_telemetry.store.transactions import lock_number

revision = "telemetry_0002"
down_revision = "telemetry_0001"

_AT_ONCE = 5_000


def upgrade() -> None:
    """Create the compact tables, move the events into them, and put the views on top."""
    _create_tables()
    _fill_buckets()
    connection = op.get_bind()
    for some in _stored(connection):
        _move(connection, some)
    op.drop_index("telemetry_events_created_at", table_name="telemetry_events")
    op.drop_table("telemetry_events")
    for statement in views_sql.create(connection.dialect.name, _write_lock(connection)):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Put the events back into plain rows."""
    connection = op.get_bind()
    op.create_table(
        "plain_events",
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column("event_type", sa.String(length=20), nullable=False),
        sa.Column("event_data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sqlite_with_rowid=False,
    )
    columns = "event_id, install_id, event_type, event_data, created_at"
    op.execute(sa.text(f"INSERT INTO plain_events SELECT {columns} FROM telemetry_events"))  # noqa: S608 - constants
    for statement in views_sql.drop(connection.dialect.name):
        connection.exec_driver_sql(statement)
    op.rename_table("plain_events", "telemetry_events")
    op.create_index("telemetry_events_created_at", "telemetry_events", ["created_at"], unique=False)
    for name in ("telemetry_buckets", "telemetry_log_lines", "telemetry_event_rows"):
        op.drop_table(name)
    op.drop_index("telemetry_event_parts_mark", table_name="telemetry_event_parts")
    op.drop_table("telemetry_event_parts")


def _create_tables() -> None:
    op.create_table(
        "telemetry_event_parts",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="number of the part"),
        sa.Column("mark", sa.BigInteger(), nullable=False, comment="hash of the next three"),
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.Column("event_type", sa.String(length=20), nullable=False, comment="type of the event, or client"),
        sa.Column("data", sa.Text(), nullable=False, comment="what many events have in common, as JSON"),
        sa.Column(
            "used_on", sa.Integer(), nullable=False, comment="day of the newest event that has it, since 1970-01-01"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("telemetry_event_parts_mark", "telemetry_event_parts", ["mark"], unique=True)
    op.create_table(
        "telemetry_event_rows",
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="when it happened, unix ms"),
        sa.Column(
            "event_id", sa.LargeBinary(), nullable=False, comment="8 bytes for a line of a log, 16 for a spooled event"
        ),
        sa.Column("part", sa.Integer(), nullable=False, comment="what it has in common with others"),
        sa.Column("client", sa.Integer(), nullable=True, comment="browser, operating system and country"),
        sa.Column("duration_us", sa.BigInteger(), nullable=True, comment="elapsed time, µs"),
        sa.Column("request_bytes", sa.BigInteger(), nullable=True, comment="bytes of the request body"),
        sa.Column("response_bytes", sa.BigInteger(), nullable=True, comment="bytes of the response body"),
        sa.Column("database_us", sa.BigInteger(), nullable=True, comment="time spent in the database, µs"),
        sa.Column("database_queries", sa.BigInteger(), nullable=True, comment="number of database queries"),
        sa.Column("session_hash", sa.LargeBinary(), nullable=True, comment="keyed hash of the session"),
        sa.Column("user_hash", sa.LargeBinary(), nullable=True, comment="keyed hash of the user"),
        sa.Column("rest", sa.Text(), nullable=True, comment="what only this event has, as JSON"),
        sa.PrimaryKeyConstraint("created_at", "event_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "telemetry_log_lines",
        sa.Column(
            "id", sa.BigInteger(), autoincrement=False, nullable=False, comment="id of an imported line, as a number"
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "telemetry_buckets",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False, comment="number in a histogram"),
        sa.Column("value", sa.BigInteger(), nullable=False, comment="µs in the middle of the bucket"),
        sa.PrimaryKeyConstraint("bucket"),
    )


def _write_lock(connection: sa.Connection) -> int:
    """Return the number of the lock that ``store.postgres`` takes to write."""
    if connection.dialect.name != "postgresql":
        return 0
    return lock_number("write", str(connection.scalar(sa.text("SELECT current_schema()"))))


def _fill_buckets() -> None:
    table = sa.table("telemetry_buckets", sa.column("bucket"), sa.column("value"))
    rows = [{"bucket": bucket, "value": value_of(bucket)} for bucket in range(bucket_of(MAX_COUNT) + 1)]
    op.bulk_insert(table, rows)


def _stored(connection: sa.Connection) -> Iterator[list[Any]]:
    """Yield the plain events in the order of their ids, some at a time."""
    last = ""
    query = sa.text("SELECT * FROM telemetry_events WHERE event_id > :last ORDER BY event_id LIMIT :some")
    while some := list(connection.execute(query, {"last": last, "some": _AT_ONCE})):
        yield some
        last = some[-1].event_id


def _move(connection: sa.Connection, plain: list[Any]) -> None:
    for install_id in {row.install_id for row in plain}:
        events = [_event(row) for row in plain if row.install_id == install_id]
        write_events(connection, install_id, events)
        remember_lines(connection, [event.event_id for event in events if len(event.event_id) == DIGITS])


def _event(row: Any) -> EventRow:
    """Return an event; only a line of a log has no duration, and its id is half as long now."""
    fields = msgspec.json.decode(row.event_data)
    imported = row.event_type == "api_request" and "duration_us" not in fields
    event_id = row.event_id[:DIGITS] if imported else row.event_id
    return EventRow(event_id, row.created_at, row.event_type, fields)
