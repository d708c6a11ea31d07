"""Erasure on the install's own word: signed by the key that was enrolled for it, whichever way it came."""

from __future__ import annotations

from sqlalchemy import select

from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.signing import digest
from calos_telemetry.server.intake import tombstone
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.server.verify.authenticate import Asked
from calos_telemetry.server.verify.wire import Refusal
from calos_telemetry.store.vendor_tables import installs


def erase(vendor: Vendor, asked: Asked, now: int) -> SignedReceipt:
    """Erase the telemetry of the install that asks and return the receipt.  Raises :class:`Refusal`.

    What the vendor knows about the license stays: it is what the contract needs, and holds no telemetry.
    """
    part = asked.request.license
    with vendor.store.licenses.connect() as connection:
        enrolled = connection.scalar(select(installs.c.install_key).where(installs.c.install_id == part.install_id))
    if enrolled not in {None, part.install_key}:
        raise Refusal(
            403, "OTHER_KEY", "another key was enrolled for this install: it alone can erase; or ask the vendor"
        )
    with vendor.store.erased_in_clickhouse(part.install_id) as moved:
        return tombstone.erase(
            vendor.store.telemetry, vendor.keys, part.install_id, digest(asked.wire), now, moved=moved
        )
