"""Erasure: at once, for good, with a receipt, and without a word about the license."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pytest
from sqlalchemy import func, select
from tests.sdk.license.far_side import Clock, FarSide, NearSide, Server, down, lost

from calos_telemetry.contract.courier import write_courier
from calos_telemetry.contract.erasure import ErasureReceipt, parse_erasure
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.signing import b64decode, b64encode, digest
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import ProtocolError, SignatureError, TransportError
from calos_telemetry.sdk.license.exchange import check_erasure
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.store.tables import telemetry


def rows(far: FarSide, install_id: str) -> int:
    """Return how many rows of telemetry the vendor has of an install."""
    tables = [table for table in telemetry.sorted_tables if "install_id" in table.c]
    counts = [select(func.count()).select_from(table).where(table.c.install_id == install_id) for table in tables]
    with far.vendor.store.telemetry.connect() as connection:
        return sum(connection.scalar(query) or 0 for query in counts)


def test_the_rows_go_and_a_receipt_comes(near: NearSide, make: Callable[..., NearSide], far: FarSide) -> None:
    """Every row of this install is gone at once, none of another; the receipt says how many, and for which request."""
    other = make("other")
    other.use("theirs")
    assert near.verify().ok
    assert other.verify().ok
    stored, theirs = rows(far, near.identity.install_id), rows(far, other.identity.install_id)
    receipt = near.erasing.ask()
    said = parse_erasure(receipt.text)
    assert (said.install_id, said.rows) == (near.identity.install_id, stored)
    asked = near.erasures.asked()
    assert asked is not None
    assert said.digest == digest(asked.body)
    assert asked.receipt == receipt
    assert rows(far, near.identity.install_id) == 0
    assert rows(far, other.identity.install_id) == theirs > 0


def test_what_is_erased_stays_erased(near: NearSide, far: FarSide) -> None:
    """A report sent all the same is refused and stores nothing, and the license answer is as good as before."""
    assert near.verify().ok
    near.erasing.ask()
    near.use("later")
    told = near.verify()
    assert told.code == "VALID"
    assert near.state().tier is Tier.PRO
    assert near.states()[-1] == "refused"
    assert rows(far, near.identity.install_id) == 0


def test_asking_again_is_the_same_request_with_the_same_receipt(near: NearSide, time: Clock) -> None:
    """Also where the first answer was lost, and the license or the lease changed in between."""
    near.wire.faults = [lost]
    with pytest.raises(TransportError):
        near.erasing.ask()
    near.verify(with_telemetry=False)
    time.now += 60_000
    receipt = near.erasing.ask()
    assert near.erasing.ask() == receipt
    (first, _), _, (again, _) = near.wire.sent
    assert first == again


def test_a_report_that_waits_is_taken_back_first(near: NearSide) -> None:
    """From the first word on nothing leaves, whether or not the vendor can be reached."""
    near.wire.always = down
    near.verify()
    assert near.states() == ["sealed"]
    with pytest.raises(TransportError):
        near.erasing.ask()
    assert near.states() == ["withdrawn"]
    assert near.erasures.asked() is not None


def test_an_install_that_was_never_seen_can_ask_too(make: Callable[..., NearSide], far: FarSide) -> None:
    """Nothing is there to delete, the receipt says so, and nothing is taken later."""
    fresh = make("fresh")
    assert parse_erasure(fresh.erasing.ask().text).rows == 0
    fresh.use("later")
    assert fresh.verify().code == "VALID"
    assert rows(far, fresh.identity.install_id) == 0


def test_another_key_cannot_erase(near: NearSide, make: Callable[..., NearSide], far: FarSide) -> None:
    """Whoever knows an install's number, but not its key, is refused in words, and its rows stay."""
    assert near.verify().ok
    thief = make("thief")
    thief.identity = type(near.identity)(near.identity.install_id, thief.identity.key)
    with pytest.raises(TransportError, match="another key was enrolled"):
        thief.erasing.ask()
    assert rows(far, near.identity.install_id) > 0


def test_erasure_crosses_the_air_gap(near: NearSide, far: FarSide) -> None:
    """By file, too, any number of times."""
    near.take(far.answer(near.export()))
    exported = near.erasing.export()
    answer = far.answer(write_courier(exported))
    for _ in range(2):
        assert "has erased" in near.take(answer)
    asked = near.erasures.asked()
    assert asked is not None
    assert asked.receipt is not None
    assert rows(far, near.identity.install_id) == 0
    assert [body for body, _ in near.wire.sent] == []


def altered(change: Callable[[SignedReceipt], SignedReceipt]) -> Callable[..., Response]:
    """Return a fault that changes the receipt on its way."""

    def fault(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        answer = serve(body, headers)
        receipt = change(msgspec.json.decode(answer.body, type=SignedReceipt))
        return Response(answer.status, answer.headers, msgspec.json.encode(receipt))

    return fault


def test_a_receipt_that_does_not_hold_is_no_receipt(near: NearSide) -> None:
    """Changed on its way, of another kind, or no receipt at all: refused, and asking again brings the true one."""
    near.verify()
    other_kind = near.ledger.entries()[0].receipt
    assert other_kind is not None
    near.wire.faults = [
        altered(lambda receipt: msgspec.structs.replace(receipt, text=receipt.text.replace("rows=", "rows=1"))),
        altered(lambda _: other_kind),
        lambda *_: Response(200, {}, b"{}"),
    ]
    for _ in range(3):
        with pytest.raises((SignatureError, ProtocolError)):
            near.erasing.ask()
    asked = near.erasures.asked()
    assert asked is not None
    assert asked.receipt is None
    near.erasing.ask()


def test_every_flipped_bit_of_an_erasure_receipt_is_refused(near: NearSide) -> None:
    """Exhaustive over text and signature."""
    receipt = near.erasing.ask()
    keys = near.verifier.known_keys()
    for part, decode, encode in (
        ("text", str.encode, lambda data: data.decode("latin-1")),
        ("signature", b64decode, b64encode),
    ):
        data = decode(getattr(receipt, part))
        for bit in range(8 * len(data)):
            changed = encode((int.from_bytes(data) ^ (1 << bit)).to_bytes(len(data)))
            broken = msgspec.structs.replace(receipt, **{part: changed})
            with pytest.raises((SignatureError, ProtocolError)):
                check_erasure(broken, near.identity, keys)


def test_the_text_is_what_the_documentation_shows() -> None:
    """Six lines and a final line feed: a golden erasure receipt, and no other text for it."""
    receipt = ErasureReceipt(install_id="a" * 32, digest="b" * 64, rows=12, erased_at=1_795_608_000_000, log_index=99)
    text = "\n".join(("calos-erasure-v1", "a" * 32, "b" * 64, "rows=12", "2026-11-25T12:00:00Z", "99", ""))
    assert receipt.text() == text
    assert parse_erasure(text) == receipt
    for other in (text + "\n", text.replace("rows=12", "rows=012"), text.replace("v1", "v2"), text.replace("99", "x")):
        with pytest.raises(ProtocolError):
            parse_erasure(other)
