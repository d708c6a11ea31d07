"""The ledger: every exchange that was sealed, with its exact bytes, its state and its receipt.

States: ``sealed`` (waits to be sent, or to be sent again), ``acknowledged`` (the vendor's receipt is here), ``refused``
(the vendor took nothing of it), ``quarantined`` (the exit gate kept it here).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.contract.receipt import NO_CHAIN, SignedReceipt
from calos_telemetry.contract.report import VerifyRequest, freeze
from calos_telemetry.contract.signing import digest
from calos_telemetry.sdk.report.exit_gate import findings
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import reports

SEALED = "sealed"
ACKNOWLEDGED = "acknowledged"
REFUSED = "refused"
QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Entry:
    """One sealed exchange.  ``body`` is exactly what travels; times are unix ms; ``rows`` is 0 for a mere check."""

    number: int
    digest: str
    body: bytes
    rows: int
    from_revision: int
    to_revision: int
    state: str
    sealed_at: int
    attempts: int
    sent_at: int | None
    answered_at: int | None
    outcome: str | None
    receipt: SignedReceipt | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next report begins: its number, the revision after which rows are new, the chain it continues."""

    number: int
    from_revision: int
    previous: str


Build = Callable[[Connection, Position], VerifyRequest]


class Ledger:
    """The table ``telemetry_reports``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def seal(self, build: Build, now: int) -> Entry:
        """Build the next exchange and freeze it, in one transaction, so that no drain comes between rows and bytes.

        What the exit gate objects to is kept as ``quarantined`` and never becomes pending.
        """
        with writing(self._engine) as connection:
            position = self._position(connection)
            request = build(connection, position)
            body = freeze(request)
            objections = sorted(set(findings(body)))
            report = request.telemetry
            row = {
                "number": position.number,
                "digest": digest(body),
                "body": body,
                "rows": report.rows() if report else 0,
                "from_revision": position.from_revision,
                "to_revision": report.to_revision if report else position.from_revision,
                "state": QUARANTINED if objections else SEALED,
                "sealed_at": now,
                "attempts": 0,
                "outcome": f"kept here by the exit gate: {'; '.join(objections)}" if objections else None,
            }
            connection.execute(insert(reports), row)
        sealed = self.entry(position.number)
        assert sealed is not None  # noqa: S101 - it was inserted above
        return sealed

    def pending(self) -> Entry | None:
        """Return the exchange that waits to be sent, if any."""
        return self._first(reports.c.state == SEALED)

    def newest(self) -> Entry | None:
        """Return the newest exchange that carries telemetry."""
        return self._first(reports.c.rows > 0)

    def entry(self, number: int) -> Entry | None:
        """Return the exchange called ``number``."""
        return self._first(reports.c.number == number)

    def entries(self, limit: int = 20) -> list[Entry]:
        """Return the newest exchanges, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(reports).order_by(reports.c.number.desc()).limit(limit)).all()
        return [_entry(row) for row in rows]

    def oldest_first(self) -> Iterator[Entry]:
        """Yield every exchange, oldest first."""
        with self._engine.connect() as connection:
            for row in connection.execute(select(reports).order_by(reports.c.number)):
                yield _entry(row)

    def attempted(self, entry: Entry, now: int, outcome: str) -> None:
        """Note an attempt that changed nothing: the exchange stays sealed and is sent again, byte for byte."""
        self._set(entry, sent_at=now, attempts=reports.c.attempts + 1, outcome=outcome)

    def close(self, entry: Entry, state: str, now: int, outcome: str, receipt: SignedReceipt | None = None) -> None:
        """Note the vendor's answer: state and receipt in one statement."""
        self._set(
            entry,
            state=state,
            sent_at=now,
            answered_at=now,
            attempts=reports.c.attempts + 1,
            outcome=outcome,
            receipt_text=receipt.text if receipt else None,
            receipt_kid=receipt.kid if receipt else None,
            receipt_signature=receipt.signature if receipt else None,
        )

    def _set(self, entry: Entry, **values: Any) -> None:
        with writing(self._engine) as connection:
            connection.execute(update(reports).where(reports.c.number == entry.number).values(**values))

    def _first(self, condition: ColumnElement[bool]) -> Entry | None:
        query = select(reports).where(condition).order_by(reports.c.number.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _entry(row)

    def _position(self, connection: Connection) -> Position:
        number = (connection.scalar(select(func.max(reports.c.number))) or 0) + 1
        acknowledged = select(reports).where(reports.c.state == ACKNOWLEDGED).order_by(reports.c.number.desc())
        rows: Sequence[Entry] = [_entry(row) for row in connection.execute(acknowledged.limit(1))]
        if not rows or rows[0].receipt is None:
            return Position(number, 0, NO_CHAIN)
        return Position(number, rows[0].to_revision, rows[0].receipt.chain())


def _entry(row: Any) -> Entry:
    receipt = None
    if row.receipt_text is not None:
        receipt = SignedReceipt(text=row.receipt_text, kid=row.receipt_kid, signature=row.receipt_signature)
    return Entry(
        number=row.number,
        digest=row.digest,
        body=row.body,
        rows=row.rows,
        from_revision=row.from_revision,
        to_revision=row.to_revision,
        state=row.state,
        sealed_at=row.sealed_at,
        attempts=row.attempts,
        sent_at=row.sent_at,
        answered_at=row.answered_at,
        outcome=row.outcome,
        receipt=receipt,
    )
