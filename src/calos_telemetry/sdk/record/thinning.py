"""How many events are kept as they are: all of an ordinary day, and of a day that would fill the disk a counted sample.

The rollups are folded from every event, so each count, sum and histogram stays exact whatever is kept.  Of a UTC day the
first ``budget`` events are kept; while the number seen is between 2^(j-1) and 2^j times that, one in 4^j.  So a day
never keeps more than one and a half budgets (1 + 1/4 + 1/8 + ...), and still has something of its end.
"""

from __future__ import annotations

from binascii import crc32
from collections import Counter

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.sdk.rollup import aggregates
from calos_telemetry.sdk.rollup.batch import Batch, Stored
from calos_telemetry.store.tables import aggregates as counts

KEPT = "kept_events"
THINNED = "thinned_events"


def thin(connection: Connection, batch: Batch, budget: int) -> Batch:
    """Return the batch with the events that are to be kept, and count per day how many are and how many are not."""
    arrived = Counter([stored.at // MS_PER_DAY for stored in batch.events])
    seen = {day: _seen(connection, batch.install_id, day) for day in arrived}
    kept, days = batch, arrived
    if any(seen[day] + number > budget for day, number in arrived.items()):
        kept = Batch(batch.install_id, batch.revision, [one for one in batch.events if _is_kept(one, seen, budget)])
        days = Counter([stored.at // MS_PER_DAY for stored in kept.events])
    counted = {(day, KEPT, ""): number for day, number in days.items()}
    counted.update({(day, THINNED, ""): number for day, number in (arrived - days).items()})
    aggregates.add(connection, batch, counted)
    return kept


def _seen(connection: Connection, install_id: str, day: int) -> int:
    column = counts.c
    mine = column.install_id == install_id, column.date == date_of(day * MS_PER_DAY)
    query = select(func.sum(column.value)).where(*mine, column.counter.in_((KEPT, THINNED)))
    return int(connection.scalar(query) or 0)


def _is_kept(stored: Stored, seen: dict[int, int], budget: int) -> bool:
    """Whether an event is kept; by its id, so that nothing about it decides."""
    day = stored.at // MS_PER_DAY
    stage = (seen[day] // budget).bit_length()
    seen[day] += 1
    return crc32(stored.event_id.encode()) % (1 << 2 * stage) == 0
