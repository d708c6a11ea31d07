"""A report and its receipt: stored together, once, whatever is repeated, reordered or interrupted."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from tests.server.install import Install, aggregate_row, feature_row, report

from calos_telemetry.contract.keys import Use, open_keyring
from calos_telemetry.contract.receipt import NO_CHAIN, SignedReceipt, parse_receipt
from calos_telemetry.contract.report import Report, TelemetryAnswer, freeze
from calos_telemetry.contract.signing import b64decode, check, digest, public_pem
from calos_telemetry.server.intake import accept as intake
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.store import tables
from calos_telemetry.store.vendor_tables import receipts

MakeInstall = Callable[..., Install]


def stored(vendor: Vendor, table: Any) -> list[Any]:
    with vendor.store.telemetry.connect() as connection:
        return list(connection.execute(select(table)).mappings())


def receipt_of(vendor: Vendor, answer: TelemetryAnswer) -> SignedReceipt:
    """Return the receipt, believed as an install would."""
    assert answer.receipt is not None
    at = parse_receipt(answer.receipt.text).received_at
    key = open_keyring(vendor.keys.keyring, vendor.keys.root).public_key(answer.receipt.kid, Use.RECEIPT, at)
    check(key, answer.receipt.text.encode(), answer.receipt.signature)
    return answer.receipt


def test_receipts_name_the_exact_bytes_and_follow_each_other(install: MakeInstall, vendor: Vendor) -> None:
    """Each receipt is over the digest of what arrived, and carries the link of the one before; installs do not mix."""
    one, other = install(), install()
    previous = NO_CHAIN
    for number in (1, 2, 3):
        wire = freeze(one.request(report(number=number)))
        signed = receipt_of(vendor, one.send(wire).telemetry)
        receipt = parse_receipt(signed.text)
        assert (receipt.install_id, receipt.number, receipt.previous) == (one.install_id, number, previous)
        assert (receipt.digest, receipt.length) == (digest(wire), len(wire))
        assert (receipt.accepted, receipt.rejected) == (4, 0)
        previous = signed.chain()
        other.verify(report(number=number))
    assert [row["log_index"] for row in stored(vendor, receipts)] == [1, 2, 3, 4, 5, 6]


def test_openssl_alone_checks_a_receipt(install: MakeInstall, vendor: Vendor, tmp_path: Path) -> None:
    """An auditor needs openssl and sha256sum, and none of our code; one changed byte is refused."""
    one = install()
    wire = freeze(one.request(report()))
    signed = receipt_of(vendor, one.send(wire).telemetry)
    keyring = open_keyring(vendor.keys.keyring, vendor.keys.root)
    public = keyring.public_key(signed.kid, Use.RECEIPT, keyring.issued_at)
    (tmp_path / "server.pem").write_bytes(public_pem(public))
    (tmp_path / "receipt.txt").write_text(signed.text)
    (tmp_path / "receipt.sig").write_bytes(b64decode(signed.signature))
    (tmp_path / "report.json.gz").write_bytes(wire)
    verify = "openssl pkeyutl -verify -pubin -inkey server.pem -rawin -in receipt.txt -sigfile receipt.sig"
    told = subprocess.run(verify.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.strip()) == (0, "Signature Verified Successfully"), told.stderr
    summed = subprocess.run(["sha256sum", "report.json.gz"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert summed.stdout.split()[0] == signed.text.split("\n")[3]
    (tmp_path / "receipt.txt").write_text(signed.text.replace("accepted=4", "accepted=5"))
    assert subprocess.run(verify.split(), cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_repeat_is_answered_with_the_receipt_that_is_there(install: MakeInstall, vendor: Vendor) -> None:
    """A lost answer heals: the same bytes bring the same receipt, and nothing is counted twice."""
    one = install()
    bad = aggregate_row(counter="unknown")
    wire = freeze(one.request(report(aggregates=[aggregate_row(), bad])))
    first, second = one.send(wire).telemetry, one.send(wire).telemetry
    assert (first.code, second.code) == ("PARTIAL", "DUPLICATE")
    assert first.receipt == second.receipt
    assert first.rejected == second.rejected == {"unknown_counter": 1}
    assert len(stored(vendor, receipts)) == 1


def test_any_order_and_repetition_ends_with_the_newest_values(install: MakeInstall, vendor: Vendor) -> None:
    """Reports are state: shuffled and doubled, they leave the rows of the highest revisions."""
    one = install()
    wires = []
    for revision in range(1, 8):
        rows = [feature_row(usage_count=revision * 10, revision=revision)]
        aggregates = [aggregate_row(value=revision * 100, revision=revision)]
        wires.append(freeze(one.request(report(number=revision, features=rows, aggregates=aggregates))))
    order = wires * 2
    random.Random(5).shuffle(order)  # noqa: S311 - an order, not a secret
    for wire in order:
        one.send(wire)
    assert [(row["usage_count"], row["revision"]) for row in stored(vendor, tables.features)] == [(70, 7)]
    assert [(row["value"], row["revision"]) for row in stored(vendor, tables.aggregates)] == [(700, 7)]


def test_a_failure_before_the_commit_leaves_neither_rows_nor_receipt(
    install: MakeInstall, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and receipt are one transaction: when the receipt cannot be made, the rows are not there either."""
    one = install()
    wire = freeze(one.request(report()))

    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(intake, "_write_receipt", fail)
        assert one.send(wire).telemetry.code == "RETRY"
    assert stored(vendor, tables.features) == stored(vendor, receipts) == []
    assert one.send(wire).telemetry.code == "ACCEPTED"


def test_two_at_once_with_the_same_bytes_make_one_receipt(install: MakeInstall, vendor: Vendor) -> None:
    """However many send the same report at the same moment, one is accepted and all hold the same receipt."""
    one = install()
    full: Report = report()
    wire = freeze(one.request(full))
    arrival = intake.Arrival(one.install_id, wire, msgspec.json.encode(full), at=full.sealed_at)
    answers: list[TelemetryAnswer] = []
    start = threading.Barrier(6)

    def send() -> None:
        start.wait()
        answers.append(intake.accept(vendor.store.telemetry, vendor.keys, arrival))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.code for answer in answers) == ["ACCEPTED"] + ["DUPLICATE"] * 5
    assert len({answer.receipt.text for answer in answers if answer.receipt}) == 1
    with vendor.store.telemetry.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(receipts)) == 1


def test_an_empty_report_is_receipted(install: MakeInstall, vendor: Vendor) -> None:
    """A report without rows is still a report: its receipt says that nothing came."""
    answer = install().verify(report(features=[], errors=[], performance=[], aggregates=[])).telemetry
    assert answer.code == "ACCEPTED"
    assert parse_receipt(receipt_of(vendor, answer).text).accepted == 0
