"""What this install asked the vendor to erase, and the receipt for it: a part of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update

from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import erasures


@dataclass(frozen=True, slots=True)
class Erasure:
    """A request for erasure: when (unix ms), the bytes that travel, and the vendor's receipt once it is here."""

    requested_at: int
    body: bytes
    receipt: SignedReceipt | None


class Erasures:
    """The table ``telemetry_erasures``: one row at the most, because what is erased stays erased."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def asked(self) -> Erasure | None:
        """Return the request, if there is one."""
        with self._engine.connect() as connection:
            row = connection.execute(select(erasures).order_by(erasures.c.requested_at)).first()
        return None if row is None else _erasure(row)

    def ask(self, body: bytes, now: int) -> Erasure:
        """Write a request down, or return the one that is there: from now on nothing leaves."""
        with writing(self._engine) as connection:
            row = connection.execute(select(erasures).order_by(erasures.c.requested_at)).first()
            if row is not None:
                return _erasure(row)
            connection.execute(insert(erasures), {"requested_at": now, "body": body})
        return Erasure(now, body, None)

    def keep(self, receipt: SignedReceipt) -> None:
        """Keep the vendor's receipt; the first one stays."""
        values = {
            "receipt_text": receipt.text,
            "receipt_kid": receipt.kid,
            "receipt_signature": receipt.signature,
        }
        with writing(self._engine) as connection:
            connection.execute(update(erasures).where(erasures.c.receipt_text.is_(None)).values(values))


def _erasure(row: Any) -> Erasure:
    receipt = None
    if row.receipt_text is not None:
        receipt = SignedReceipt(text=row.receipt_text, kid=row.receipt_kid, signature=row.receipt_signature)
    return Erasure(row.requested_at, row.body, receipt)
