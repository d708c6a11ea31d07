"""The one choke point for storing: events and their rollups enter the database here, in one transaction, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.policy.restrictions import Restrictions
from calos_telemetry.sdk.record.rows import write_batch
from calos_telemetry.sdk.record.thinning import thin
from calos_telemetry.sdk.rollup.batch import Batch, Stored
from calos_telemetry.sdk.rollup.fold import fold
from calos_telemetry.settings import EVENTS_PER_DAY
from calos_telemetry.store.event_rows import known_ids
from calos_telemetry.store.install_tables import books
from calos_telemetry.store.log_lines import known_lines, remember_lines
from calos_telemetry.store.tables import aggregates, errors, features, performance
from calos_telemetry.store.upserts import add_up

STORED = "stored"
DROPPED = "dropped:"
_NUL = rb"\u0000"
_to_json = msgspec.json.Encoder().encode
_REPORTED = (features, errors, performance, aggregates)


def store_events(
    connection: Connection, install_id: str, arrived: Sequence[Stored], budget: int = EVENTS_PER_DAY
) -> int:
    """Store the events that are not there yet, fold them into the rollups, count them; return how many were new.

    An event that arrives a second time changes nothing.  Of a day with more than ``budget`` events a sample is kept.
    """
    fresh = {stored.event_id: stored for stored in arrived}
    for known in known_ids(connection, [(stored.at, stored.event_id) for stored in fresh.values()]):
        del fresh[known]
    return _store_new(connection, install_id, list(fresh.values()), budget)


def store_lines(
    connection: Connection, install_id: str, arrived: Sequence[Stored], budget: int = EVENTS_PER_DAY
) -> int:
    """Store events that are lines of a log; a line that was ever stored before changes nothing.

    Their times do not tell them apart (an import may move them), and retention removes them, so their ids are kept.
    """
    fresh = {stored.event_id: stored for stored in arrived}
    for known in known_lines(connection, list(fresh)):
        del fresh[known]
    remember_lines(connection, list(fresh))
    return _store_new(connection, install_id, list(fresh.values()), budget)


def _store_new(connection: Connection, install_id: str, new: Sequence[Stored], budget: int) -> int:
    if not new:
        return 0
    batch = _storable(Batch(install_id, next_revision(connection, install_id), new))
    write_batch(connection, thin(connection, batch, budget))
    fold(connection, batch)
    count(connection, STORED, len(new))
    return len(new)


def restricted(arrived: list[Stored], restrictions: Restrictions | None) -> list[Stored]:
    """Return the events without what the policy file withholds, which may be younger than their record."""
    if restrictions is None:
        return arrived
    allowed = ((stored, restrictions.of_event(stored.event)) for stored in arrived)
    return [Stored(stored.event_id, stored.at, event) for stored, event in allowed if event is not None]


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


def _storable(batch: Batch) -> Batch:
    """Return the batch with U+FFFD in place of NUL: PostgreSQL keeps no NUL in a text."""
    texts = (
        *(like for like, _ in batch.alike),
        *(client for _, client in batch.clients),
        *(stored.event for stored in batch.others),
    )
    if not any(_NUL in _to_json(text) for text in texts):
        return batch
    return Batch(batch.install_id, batch.revision, [_plain(stored) for stored in batch.events])


def _plain(stored: Stored) -> Stored:
    if _NUL not in _to_json(stored.event):
        return stored
    event = msgspec.convert(_without_nul(msgspec.to_builtins(stored.event)), type(stored.event))
    return Stored(stored.event_id, stored.at, event)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(inside) for name, inside in value.items()}
    return [_without_nul(inside) for inside in value] if isinstance(value, list) else value
