"""The one choke point for storing: events and their rollups enter the database here, in one transaction, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.events import TYPE_NAMES, to_json
from calos_telemetry.sdk.rollup.batch import Batch, Stored
from calos_telemetry.sdk.rollup.fold import fold
from calos_telemetry.store.install_tables import books
from calos_telemetry.store.tables import aggregates, errors, events, features, performance
from calos_telemetry.store.upserts import add_up, insert_new

STORED = "stored"
DROPPED = "dropped:"
_LOOKUP = 500  # ids per query: SQLite allows 999 parameters where it is old
_REPORTED = (features, errors, performance, aggregates)


def store_events(connection: Connection, install_id: str, arrived: Sequence[Stored]) -> int:
    """Store the events that are not there yet, fold them into the rollups, count them; return how many were new.

    An event that arrives a second time (an access log imported again) changes nothing.
    """
    new = _without_known(connection, arrived)
    if not new:
        return 0
    batch = Batch(install_id, next_revision(connection, install_id), new)
    insert_new(connection, events, [_row(install_id, stored) for stored in new])
    fold(connection, batch)
    count(connection, STORED, len(new))
    return len(new)


def count(connection: Connection, entry: str, number: int) -> None:
    """Add ``number`` to an entry of the books."""
    if number:
        add_up(connection, books, [{"entry": entry, "events": number}], {"events": "add"})


def next_revision(connection: Connection, install_id: str) -> int:
    """Return the number of this drain: unix ms, and above every earlier one even when the clock was set back."""
    return max(now_ms(), last_revision(connection, install_id) + 1)


def last_revision(connection: Connection, install_id: str) -> int:
    """Return the highest revision of any row that may leave; 0 before the first drain."""
    return max(
        connection.scalar(select(func.max(table.c.revision)).where(table.c.install_id == install_id)) or 0
        for table in _REPORTED
    )


def _without_known(connection: Connection, arrived: Sequence[Stored]) -> list[Stored]:
    fresh = {stored.event_id: stored for stored in arrived}
    ids = list(fresh)
    for start in range(0, len(ids), _LOOKUP):
        some = ids[start : start + _LOOKUP]
        for known in connection.scalars(select(events.c.event_id).where(events.c.event_id.in_(some))):
            del fresh[known]
    return list(fresh.values())


def _row(install_id: str, stored: Stored) -> dict[str, Any]:
    return {
        "event_id": stored.event_id,
        "install_id": install_id,
        "event_type": TYPE_NAMES[type(stored.event)],
        "event_data": to_json(stored.event),
        "created_at": stored.at,
    }
