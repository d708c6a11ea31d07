"""A report comes in: its rows and its receipt are stored in one transaction, or neither is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, Row, Table, func, insert, select

from calos_telemetry.contract.receipt import NO_CHAIN, Receipt, SignedReceipt
from calos_telemetry.contract.report import TelemetryAnswer
from calos_telemetry.contract.signing import digest
from calos_telemetry.errors import ProtocolError
from calos_telemetry.server.intake.sift import Sifted, sift
from calos_telemetry.server.intake.tombstone import is_erased
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.store.database import writing
from calos_telemetry.store.upserts import keep_newest_of_all
from calos_telemetry.store.vendor_tables import receipts

Keep: TypeAlias = Callable[[Connection, Mapping[Table, Sequence[Mapping[str, Any]]]], None]
"""Writes the rows of a report in the transaction of its receipt."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A report as it arrived: the bytes on the wire, the JSON of the report within them, and when (unix ms)."""

    install_id: str
    wire: bytes
    report: bytes
    at: int


def accept(engine: Engine, keys: VendorKeys, arrival: Arrival, keep: Keep = keep_newest_of_all) -> TelemetryAnswer:
    """Store a report (its rows by ``keep``) and answer with its receipt.

    A repeat of the same bytes gets the receipt that is stored already, so a lost answer heals itself.
    """
    with engine.connect() as connection:
        settled = _settled(connection, arrival)
    if settled is not None:
        return settled
    try:
        sifted = sift(arrival.report, arrival.install_id, arrival.at)
    except ProtocolError:
        return TelemetryAnswer(code="REFUSED", rejected={"malformed": 1})
    with writing(engine) as connection:
        settled = _settled(connection, arrival)  # a repeat or an erasure may have come in between
        if settled is not None:
            return settled
        keep(connection, sifted.taken)
        receipt = _write_receipt(connection, keys, arrival, sifted)
    code = "PARTIAL" if sifted.rejected else "ACCEPTED"
    return TelemetryAnswer(code=code, receipt=receipt, rejected=dict(sifted.rejected))


def _write_receipt(connection: Connection, keys: VendorKeys, arrival: Arrival, sifted: Sifted) -> SignedReceipt:
    """Sign the next receipt of the install's chain and store it; the write lock keeps both numbers free of gaps."""
    mine = select(receipts.c.chain).where(receipts.c.install_id == arrival.install_id)
    receipt = Receipt(
        install_id=arrival.install_id,
        number=sifted.number,
        digest=digest(arrival.wire),
        length=len(arrival.wire),
        previous=connection.scalar(mine.order_by(receipts.c.log_index.desc()).limit(1)) or NO_CHAIN,
        accepted=sifted.accepted(),
        rejected=sifted.rejected.total(),
        received_at=arrival.at,
        log_index=(connection.scalar(select(func.max(receipts.c.log_index))) or 0) + 1,
    )
    signed = keys.receipt(receipt)
    row = {
        "log_index": receipt.log_index,
        "install_id": arrival.install_id,
        "number": receipt.number,
        "digest": receipt.digest,
        "chain": signed.chain(),
        "text": signed.text,
        "kid": signed.kid,
        "signature": signed.signature,
        "rejected": msgspec.json.encode(dict(sifted.rejected)).decode(),
        "received_at": arrival.at,
    }
    connection.execute(insert(receipts).values(row))
    return signed


def _settled(connection: Connection, arrival: Arrival) -> TelemetryAnswer | None:
    if is_erased(connection, arrival.install_id):
        return TelemetryAnswer(code="REFUSED", rejected={"erased": 1})
    stored = _stored(connection, arrival)
    return None if stored is None else _duplicate(stored)


def _stored(connection: Connection, arrival: Arrival) -> Row[tuple[object, ...]] | None:
    mine = (receipts.c.install_id == arrival.install_id, receipts.c.digest == digest(arrival.wire))
    return connection.execute(select(receipts).where(*mine)).one_or_none()


def _duplicate(row: Row[tuple[object, ...]]) -> TelemetryAnswer:
    receipt = SignedReceipt(text=row.text, kid=row.kid, signature=row.signature)
    return TelemetryAnswer(code="DUPLICATE", receipt=receipt, rejected=msgspec.json.decode(row.rejected))
