"""Erasure: the rows of an install go, and a tombstone keeps them away, in one transaction.

Reports are state: the next one would bring back what was counted before.  So the tombstone stays for good; whoever wants to
send again begins as a new install.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, func, insert, select

from calos_telemetry.contract.erasure import ErasureReceipt
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.server.intake import outbox
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.store.database import writing
from calos_telemetry.store.tables import telemetry
from calos_telemetry.store.vendor_tables import erasures, receipts


def is_erased(connection: Connection, install_id: str) -> bool:
    """Say whether the telemetry of an install is never to be taken again."""
    return connection.scalar(select(erasures.c.erased_at).where(erasures.c.install_id == install_id)) is not None


def erase(
    engine: Engine, keys: VendorKeys, install_id: str, request_digest: str, now: int, *, moved: int = 0
) -> SignedReceipt:
    """Delete the telemetry of an install and sign the receipt for it; a repeat gets the receipt that is stored already.

    ``moved`` rows were in ClickHouse and are deleted there already; what was to follow them is in the outbox and goes here.
    The receipts of its reports stay: they hold digests and counts, and both sides may need the proof.
    """
    with writing(engine) as connection:
        stored = connection.execute(select(erasures).where(erasures.c.install_id == install_id)).one_or_none()
        if stored is not None:
            return SignedReceipt(text=stored.text, kid=stored.kid, signature=stored.signature)
        newest = connection.scalar(select(func.max(receipts.c.log_index))) or 0
        signed = keys.erasure(
            ErasureReceipt(
                install_id=install_id,
                digest=request_digest,
                rows=moved + outbox.forget(connection, install_id) + _delete(connection, install_id),
                erased_at=now,
                log_index=newest,
            )
        )
        row = {"install_id": install_id, "erased_at": now, "text": signed.text}
        connection.execute(insert(erasures).values(row | {"kid": signed.kid, "signature": signed.signature}))
        return signed


def _delete(connection: Connection, install_id: str) -> int:
    mine = [table for table in telemetry.sorted_tables if "install_id" in table.c]
    return sum(connection.execute(delete(table).where(table.c.install_id == install_id)).rowcount for table in mine)
