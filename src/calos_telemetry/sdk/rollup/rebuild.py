"""All rollups once more, from the stored events alone.

For tests, and for a database whose events are all still there.  It is no command: events are kept for 90 days and the
tables they are folded into for ever, so on an old install it would throw history away.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, delete, select

from calos_telemetry.contract.counters import OF_ROWS
from calos_telemetry.contract.events import from_json
from calos_telemetry.sdk.rollup.batch import Batch, Stored
from calos_telemetry.sdk.rollup.fold import fold
from calos_telemetry.store.install_tables import sightings
from calos_telemetry.store.tables import aggregates, errors, events, features, performance, sessions, user_days

_AT_ONCE = 5_000
_ROLLED_UP = (features, errors, performance, sessions)


def rebuild(connection: Connection, install_id: str, revision: int) -> int:
    """Empty the rollups of an install and fold its events into them again; return how many events there were."""
    for table in _ROLLED_UP:
        connection.execute(delete(table).where(table.c.install_id == install_id))
    of_rows = aggregates.c.counter.not_in(OF_ROWS)
    connection.execute(delete(aggregates).where(aggregates.c.install_id == install_id, of_rows))
    for table in (user_days, sightings):
        connection.execute(delete(table))
    folded = 0
    for some in _stored(connection, install_id):
        fold(connection, Batch(install_id, revision, some))
        folded += len(some)
    return folded


def _stored(connection: Connection, install_id: str) -> Iterator[list[Stored]]:
    query = select(events.c.event_id, events.c.created_at, events.c.event_type, events.c.event_data)
    rows = connection.execute(query.where(events.c.install_id == install_id)).all()
    for start in range(0, len(rows), _AT_ONCE):
        yield [Stored(id_, at, from_json(kind, data)) for id_, at, kind, data in rows[start : start + _AT_ONCE]]
