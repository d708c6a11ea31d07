"""The ledger: every exchange that was sealed, with its exact bytes, its state and its receipt.

States: ``sealed`` (waits to be sent, or to be sent again), ``acknowledged`` (answered; a report has its receipt here),
``refused`` (the vendor took nothing of it), ``withdrawn`` (taken back before it was answered), ``vetoed`` (the operator kept
it here for good; later reports begin behind it), ``quarantined`` (the exit gate kept it here).  Only a sealed exchange changes its state, and its bytes never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from calos_telemetry.contract.receipt import NO_CHAIN, SignedReceipt
from calos_telemetry.contract.report import VerifyRequest, freeze
from calos_telemetry.contract.signing import digest
from calos_telemetry.errors import SignatureError
from calos_telemetry.sdk.report.exit_gate import findings
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import reports

SEALED = "sealed"
ACKNOWLEDGED = "acknowledged"
REFUSED = "refused"
WITHDRAWN = "withdrawn"
QUARANTINED = "quarantined"
VETOED = "vetoed"


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

    def chain(self) -> str | None:
        """Return the link that the next receipt carries; ``None`` without a receipt, or with a damaged one."""
        try:
            return None if self.receipt is None else self.receipt.chain()
        except SignatureError:
            return None


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
            return self._seal(connection, build, now)

    def rehearse(self, builds: Iterable[Build], now: int) -> Entry:
        """Return what sealing one after the other would come to, up to the first that may leave; nothing of it is kept."""
        with self._engine.connect().execution_options(calos_write=True) as connection:
            for build in builds:
                entry = self._seal(connection, build, now)
                if entry.state == SEALED:
                    break
            connection.rollback()
        return entry

    def _seal(self, connection: Connection, build: Build, now: int) -> Entry:
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
        return _entry(connection.execute(select(reports).where(reports.c.number == position.number)).one())

    def pending(self) -> list[Entry]:
        """Return the exchanges that wait to be sent, oldest first: at most one report, and one mere check."""
        query = select(reports).where(reports.c.state == SEALED).order_by(reports.c.number)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def position(self) -> Position:
        """Return where the next report begins."""
        with self._engine.connect() as connection:
            return self._position(connection)

    def newest(self) -> Entry | None:
        """Return the newest exchange with telemetry that left or is about to; what was kept here is not among them."""
        return self._first(reports.c.rows > 0, reports.c.state != QUARANTINED)

    def newest_kept(self) -> Entry | None:
        """Return the newest exchange that the exit gate kept here."""
        return self._first(reports.c.state == QUARANTINED)

    def entry(self, number: int) -> Entry | None:
        """Return the exchange called ``number``."""
        return self._first(reports.c.number == number)

    def find(self, body_digest: str) -> Entry | None:
        """Return the newest exchange whose bytes have that digest."""
        return self._first(reports.c.digest == body_digest)

    def entries(self, limit: int = 20) -> list[Entry]:
        """Return the newest exchanges, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(reports).order_by(reports.c.number.desc()).limit(limit)).all()
        return [_entry(row) for row in rows]

    def oldest_first(self) -> Iterator[Entry]:
        """Yield every exchange, oldest first, without keeping a transaction open in between."""
        with self._engine.connect() as connection:
            numbers = connection.scalars(select(reports.c.number).order_by(reports.c.number)).all()
        yield from filter(None, map(self.entry, numbers))

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

    def withdraw(self, entry: Entry, why: str) -> None:
        """Take back an exchange that was not answered yet; its bytes stay to be seen."""
        self._set(entry, state=WITHDRAWN, outcome=why + _tried(entry))

    def veto(self, entry: Entry) -> None:
        """Keep a report that was not answered yet here for good."""
        self._set(entry, state=VETOED, outcome="vetoed by the operator" + _tried(entry))

    def _set(self, entry: Entry, **values: Any) -> None:
        this_one = reports.c.number == entry.number, reports.c.state == SEALED
        with writing(self._engine) as connection:
            connection.execute(update(reports).where(*this_one).values(**values))

    def _first(self, *conditions: ColumnElement[bool]) -> Entry | None:
        query = select(reports).where(*conditions).order_by(reports.c.number.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _entry(row)

    def _position(self, connection: Connection) -> Position:
        number = (connection.scalar(select(func.max(reports.c.number))) or 0) + 1
        receipted = reports.c.state == ACKNOWLEDGED, reports.c.receipt_text.is_not(None)
        query = select(reports).where(*receipted).order_by(reports.c.number.desc()).limit(1)
        row = connection.execute(query).first()
        vetoed = connection.scalar(select(func.max(reports.c.to_revision)).where(reports.c.state == VETOED)) or 0
        if row is None:
            return Position(number, vetoed, NO_CHAIN)
        return Position(number, max(vetoed, row.to_revision), _entry(row).chain() or NO_CHAIN)


def _tried(entry: Entry) -> str:
    return f"; it was sent {entry.attempts} times without an answer" if entry.attempts else ""


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
