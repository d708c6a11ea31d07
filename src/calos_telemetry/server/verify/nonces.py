"""Each nonce is taken once, within the time in which its request could still pass the clock check."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from calos_telemetry.contract.report import CLOCK_TOLERANCE_MS
from calos_telemetry.store.upserts import insert_new
from calos_telemetry.store.vendor_tables import nonces

# A request passes the clock check from 10 minutes before until 10 minutes after its moment.
KEPT_MS = 2 * CLOCK_TOLERANCE_MS


def claim(connection: Connection, nonce: str, now: int) -> bool:
    """Take ``nonce``; false when it is taken already.  Call it inside a write transaction."""
    if connection.scalar(select(nonces.c.seen_at).where(nonces.c.nonce == nonce)) is not None:
        return False
    insert_new(connection, nonces, [{"nonce": nonce, "seen_at": now}])
    return True


def forget_old(connection: Connection, now: int) -> None:
    """Remove the nonces whose requests the clock check refuses by now."""
    connection.execute(delete(nonces).where(nonces.c.seen_at < now - KEPT_MS))
