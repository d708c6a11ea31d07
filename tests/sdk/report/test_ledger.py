"""The ledger: exact bytes for ever, states that only go forward, and a check that finds every change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import OperationalError

from calos_telemetry.contract.receipt import NO_CHAIN, Receipt, SignedReceipt, parse_receipt
from calos_telemetry.contract.report import Books, LicensePart, Product, Report, VerifyRequest, freeze
from calos_telemetry.contract.rows import FeatureRow
from calos_telemetry.contract.signing import check, digest, key_id, sign
from calos_telemetry.errors import SignatureError
from calos_telemetry.sdk.report import ledger as states
from calos_telemetry.sdk.report.check import Finding, check_ledger
from calos_telemetry.sdk.report.ledger import Entry, Ledger, Position
from calos_telemetry.store.database import open_sqlite
from calos_telemetry.store.install_tables import reports
from calos_telemetry.store.migrate import INSTALL, TELEMETRY

INSTALL_ID = "ab" * 16
NOW = 1_795_608_000_000
VENDOR = Ed25519PrivateKey.from_private_bytes(b"v" * 32)
PART = LicensePart(
    install_id=INSTALL_ID, install_key="k" * 43, license_id=None, proof=None, domain=None, lease_number=0,
    product=Product(app="1", sdk="1", python="3", os="Linux"),
)  # fmt: skip


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine)


def report(position: Position, *, to: int, name: str = "pos") -> Report:
    row = FeatureRow(feature=name, usage_count=1, first_used_at=NOW, last_used_at=NOW, revision=to)
    return Report(
        number=position.number, previous=position.previous, from_revision=position.from_revision, to_revision=to,
        sealed_at=NOW, books=Books(recorded=1, stored=1, dropped={}, pending=0), features=[row], errors=[],
        performance=[], aggregates=[],
    )  # fmt: skip


def with_rows(to: int, name: str = "pos") -> Callable[[Connection, Position], VerifyRequest]:
    return lambda _connection, position: VerifyRequest(v=1, license=PART, telemetry=report(position, to=to, name=name))


def alone(_connection: Connection, _position: Position) -> VerifyRequest:
    return VerifyRequest(v=1, license=PART, telemetry=None)


def receipted(entry: Entry, previous: str, **changes: Any) -> SignedReceipt:
    """Sign a receipt for ``entry``."""
    fields: dict[str, Any] = {
        "install_id": INSTALL_ID, "number": entry.number, "digest": entry.digest, "length": len(entry.body),
        "previous": previous, "accepted": entry.rows, "rejected": 0, "received_at": NOW, "log_index": entry.number,
    }  # fmt: skip
    text = Receipt(**(fields | changes)).text()
    return SignedReceipt(text=text, kid=key_id(VENDOR.public_key()), signature=sign(VENDOR, text.encode()))


def acknowledged(ledger: Ledger, to: int, now: int = NOW) -> Entry:
    """Seal a report and let the vendor acknowledge it."""
    previous = ledger.position().previous
    entry = ledger.seal(with_rows(to), now)
    ledger.close(entry, states.ACKNOWLEDGED, now, "accepted", receipted(entry, previous))
    return entry


def check_receipt(entry: Entry) -> object:
    assert entry.receipt is not None
    check(VENDOR.public_key(), entry.receipt.text.encode(), entry.receipt.signature)
    if parse_receipt(entry.receipt.text).digest != digest(entry.body):
        raise SignatureError("the receipt is for other bytes")
    return None


def findings(ledger: Ledger, now: int = NOW) -> list[Finding]:
    return list(check_ledger(ledger.oldest_first(), check_receipt, now))


def broken(ledger: Ledger, now: int = NOW) -> list[str]:
    return [finding.sentence for finding in findings(ledger, now) if not finding.ok]


def test_exactly_the_frozen_bytes_are_kept(ledger: Ledger) -> None:
    """What is sealed is kept byte for byte with its digest, before anything is sent."""
    entry = ledger.seal(with_rows(7), NOW)
    expected = freeze(VerifyRequest(v=1, license=PART, telemetry=report(Position(1, 0, NO_CHAIN), to=7)))
    assert (entry.body, entry.digest) == (expected, digest(expected))
    assert (entry.number, entry.rows, entry.from_revision, entry.to_revision) == (1, 1, 0, 7)
    assert (entry.state, entry.attempts, entry.sent_at, entry.receipt) == (states.SEALED, 0, None, None)
    assert ledger.pending() == [entry] == ledger.entries() == list(ledger.oldest_first())
    assert ledger.newest() == ledger.entry(1) == entry


def test_rows_and_bytes_are_of_one_transaction(tmp_path: Path) -> None:
    """While a report is built nobody else can write, so no drain comes between the rows and the bytes."""
    engine = open_sqlite(tmp_path / "telemetry.db", TELEMETRY, INSTALL, busy_seconds=0.05)

    def build(connection: Connection, position: Position) -> VerifyRequest:
        with pytest.raises(OperationalError, match="locked"):
            Ledger(engine).seal(alone, NOW)
        return alone(connection, position)

    assert Ledger(engine).seal(build, NOW).number == 1
    engine.dispose()


def test_a_rehearsal_gives_what_sealing_gives_and_leaves_nothing(ledger: Ledger) -> None:
    """What the exit gate would keep takes its number, and the next one is shown with the number it would have."""
    acknowledged(ledger, 6)
    builds = [with_rows(7, name="mail to maria@bakery.example"), with_rows(8), with_rows(9)]
    rehearsed = ledger.rehearse(builds, NOW)
    assert len(ledger.entries()) == 1
    sealed = [ledger.seal(build, NOW) for build in builds[:2]]
    assert [entry.state for entry in sealed] == [states.QUARANTINED, states.SEALED]
    assert rehearsed == sealed[1]


def test_a_failed_seal_leaves_nothing(ledger: Ledger) -> None:
    """When building fails the ledger is as before, and the number is not used up."""

    def build(_connection: Connection, _position: Position) -> VerifyRequest:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.seal(build, NOW)
    assert ledger.entries() == []
    assert ledger.seal(alone, NOW).number == 1


def test_a_report_begins_where_the_last_receipt_ends(ledger: Ledger) -> None:
    """Revision and chain come from the last receipt, whatever was sealed, refused or merely checked since."""
    assert ledger.position() == Position(1, 0, NO_CHAIN)
    acknowledged(ledger, 7)
    first = ledger.entry(1)
    assert first is not None
    chain = first.chain()
    assert chain is not None
    for number, (build, state) in enumerate(
        ((alone, states.ACKNOWLEDGED), (with_rows(9), states.REFUSED), (with_rows(9, "a@b.example"), None)), start=2
    ):
        entry = ledger.seal(build, NOW)
        if state is not None:
            ledger.close(entry, state, NOW, "as said")
        assert ledger.position() == Position(number + 1, 7, chain)


def test_an_attempt_changes_neither_state_nor_bytes(ledger: Ledger) -> None:
    """A failed attempt is counted and told, and the exchange waits with the same bytes."""
    entry = ledger.seal(with_rows(7), NOW)
    ledger.attempted(entry, NOW + 1, "no route")
    ledger.attempted(entry, NOW + 2, "no answer")
    (waiting,) = ledger.pending()
    assert (waiting.attempts, waiting.sent_at, waiting.outcome) == (2, NOW + 2, "no answer")
    assert (waiting.body, waiting.answered_at) == (entry.body, None)


def test_states_only_go_forward(ledger: Ledger) -> None:
    """Once an exchange is closed, no late answer and no other process changes anything about it."""
    entry = ledger.seal(with_rows(7), NOW)
    receipt = receipted(entry, NO_CHAIN)
    ledger.close(entry, states.ACKNOWLEDGED, NOW + 1, "accepted", receipt)
    closed = ledger.entry(1)
    ledger.close(entry, states.REFUSED, NOW + 2, "refused")
    ledger.attempted(entry, NOW + 3, "late")
    ledger.withdraw(entry, "late")
    assert ledger.entry(1) == closed
    assert closed is not None
    assert (closed.state, closed.receipt, closed.answered_at, closed.attempts) == ("acknowledged", receipt, NOW + 1, 1)


def test_what_the_gate_keeps_never_waits(ledger: Ledger) -> None:
    """A quarantined report is kept with its reason and bytes, is not pending, and its reason does not quote the value."""
    entry = ledger.seal(with_rows(7, "maria@bakery.example"), NOW)
    assert (entry.state, ledger.pending(), ledger.newest()) == (states.QUARANTINED, [], None)
    assert entry.outcome is not None
    assert "e-mail" in entry.outcome
    assert "maria" not in entry.outcome
    assert ledger.newest_kept() == entry


def test_the_newest_come_first(ledger: Ledger) -> None:
    """The list shows the newest first and no more than asked; the check reads them oldest first."""
    for _ in range(5):
        ledger.seal(alone, NOW)
    assert [entry.number for entry in ledger.entries(limit=3)] == [5, 4, 3]
    assert [entry.number for entry in ledger.oldest_first()] == [1, 2, 3, 4, 5]
    assert ledger.entry(6) is None


def test_an_intact_ledger_has_no_broken_finding(ledger: Ledger) -> None:
    """Three receipted reports with a check between them: each digest, receipt and link holds."""
    for to in (7, 8, 9):
        acknowledged(ledger, to)
        ledger.seal(alone, NOW)
    assert broken(ledger) == []
    assert len(findings(ledger)) == 3 * 3 + 3


def test_every_changed_byte_is_found(ledger: Ledger, engine: Engine) -> None:
    """Change any one byte of a report, and both its digest and its receipt say so."""
    acknowledged(ledger, 7)
    entry = ledger.entry(1)
    assert entry is not None
    for place in range(0, len(entry.body), 5):
        changed = bytearray(entry.body)
        changed[place] ^= 1
        alter(engine, 1, body=bytes(changed))
        assert broken(ledger) == [
            "report 1: the bytes do not have their digest",
            "report 1: the receipt is for other bytes",
        ]


def alter(engine: Engine, number: int, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(update(reports).where(reports.c.number == number).values(**values))


@pytest.mark.parametrize("column", ["receipt_text", "receipt_signature"])
def test_an_altered_receipt_is_found(ledger: Ledger, engine: Engine, column: str) -> None:
    """Text or signature changed: the receipt is not the vendor's any more, and the next one does not follow it."""
    for to in (7, 8):
        acknowledged(ledger, to)
    receipt = ledger.entries()[-1].receipt
    assert receipt is not None
    values = {
        "receipt_text": receipt.text.replace("accepted=1", "accepted=2"),
        "receipt_signature": receipt.signature[::-1],
    }
    alter(engine, 1, **{column: values[column]})
    found = broken(ledger)
    assert any(sentence.startswith("report 1: ") for sentence in found)
    assert "report 2: the receipt does not follow the one before" in found


def test_a_damaged_receipt_is_a_finding_and_no_crash(ledger: Ledger, engine: Engine) -> None:
    """Garbage in the place of a receipt is told, and the next report begins a chain of its own."""
    acknowledged(ledger, 7)
    alter(engine, 1, receipt_text="garbage", receipt_signature="***")
    assert len(broken(ledger)) == 2
    assert ledger.position() == Position(2, 7, NO_CHAIN)


def test_a_removed_report_is_found(ledger: Ledger, engine: Engine) -> None:
    """A line taken out of the middle is missed by its number, and breaks the chain."""
    for to in (7, 8, 9):
        acknowledged(ledger, to)
    with engine.begin() as connection:
        connection.execute(reports.delete().where(reports.c.number == 2))
    assert broken(ledger) == [
        "reports 2 to 2 are missing",
        "report 3: the receipt does not follow the one before",
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_a_removed_check_is_found(ledger: Ledger, engine: Engine, number: int) -> None:
    """A line without a receipt has no link that could break; its number is missed all the same, and at the head too."""
    for _ in range(3):
        ledger.seal(alone, NOW)
    with engine.begin() as connection:
        connection.execute(reports.delete().where(reports.c.number == number))
    assert broken(ledger) == [f"reports {number} to {number} are missing"]


def test_a_receipt_that_never_arrived_is_no_fault(ledger: Ledger) -> None:
    """A report that was sent and never answered may have a receipt at the vendor: the next link says so, and holds."""
    lost = ledger.seal(with_rows(7), NOW)
    ledger.attempted(lost, NOW, "the connection broke")
    ledger.withdraw(lost, "telemetry was switched off")
    missing = receipted(lost, NO_CHAIN).chain()
    entry = ledger.seal(with_rows(8), NOW)
    ledger.close(entry, states.ACKNOWLEDGED, NOW, "accepted", receipted(entry, missing))
    assert broken(ledger) == []
    assert any("never arrived" in finding.sentence for finding in findings(ledger))
