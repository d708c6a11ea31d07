"""The rollups in order, the sightings last: each gets the whole batch inside the drain's transaction."""

from __future__ import annotations

from sqlalchemy import Connection

from calos_telemetry.sdk.rollup import active, aggregates, errors, features, performance, sessions, sightings
from calos_telemetry.sdk.rollup.batch import Batch

ROLLUPS = (
    features.roll_up,
    errors.roll_up,
    performance.roll_up,
    sessions.roll_up,
    aggregates.roll_up,
    active.roll_up,
    sightings.roll_up,
)


def fold(connection: Connection, batch: Batch) -> None:
    """Fold the events of ``batch`` into the aggregated tables."""
    for roll_up in ROLLUPS:
        roll_up(connection, batch)
