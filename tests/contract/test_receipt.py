"""Receipts: one text for one receipt, and no other text for it."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.receipt import NO_CHAIN, Receipt, SignedReceipt, parse_receipt
from calos_telemetry.contract.signing import b64decode, check, key_id, sign
from calos_telemetry.errors import ProtocolError, SignatureError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
HEX64 = st.text("0123456789abcdef", min_size=64, max_size=64)
COUNT = st.integers(0, 2**53)

RECEIPT = Receipt(
    install_id="a" * 32, number=7, digest="b" * 64, length=1234, previous=NO_CHAIN, accepted=40, rejected=2,
    received_at=1_795_608_000_000, log_index=99,
)  # fmt: skip
TEXT = "\n".join((
    "calos-receipt-v1", "a" * 32, "7", "b" * 64, "1234", NO_CHAIN, "accepted=40", "rejected=2",
    "2026-11-25T12:00:00Z", "99", "",
))  # fmt: skip


def test_the_text_is_what_the_documentation_shows() -> None:
    """Ten lines and a final line feed, in the order of SECURITY §2.6: a golden receipt."""
    assert RECEIPT.text() == TEXT
    assert parse_receipt(TEXT) == RECEIPT


@given(
    install_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    number=COUNT,
    digest=HEX64,
    length=COUNT,
    previous=HEX64,
    accepted=COUNT,
    rejected=COUNT,
    received_at=st.integers(0, 4_000_000_000).map(lambda seconds: seconds * 1_000),
    log_index=COUNT,
)
def test_every_receipt_comes_back_from_its_text(**fields: object) -> None:
    """What was written is what is read."""
    receipt = Receipt(**fields)  # type: ignore[arg-type]  # the strategies give each field its type
    assert parse_receipt(receipt.text()) == receipt


@given(st.text(max_size=400) | st.integers(0, len(TEXT)).map(lambda cut: TEXT[:cut]).filter(lambda cut: cut != TEXT))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    """Whatever is not written the one way is our own error."""
    with pytest.raises(ProtocolError):
        parse_receipt(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("accepted=40", "accepted=040"),
        ("accepted=40", "accepted=+40"),
        ("accepted=40", "accepted= 40"),
        ("accepted=40", "accepted=4_0"),
        ("accepted=40", "40"),
        ("calos-receipt-v1", "calos-receipt-v2"),
        ("12:00:00Z", "12:00:00"),
        ("\n7\n", "\n7.0\n"),
        ("\n7\n", "\n\u0667\n"),
        ("\n99\n", "\n99\n\n"),
    ],
)
def test_a_number_is_written_one_way(old: str, new: str) -> None:
    """Leading zeros, signs, spaces and other digits would give one receipt two digests."""
    with pytest.raises(ProtocolError):
        parse_receipt(TEXT.replace(old, new))


def test_every_flipped_bit_is_refused() -> None:
    """Exhaustive over text and signature: no bit of a receipt can change after it was signed."""
    signature = sign(KEY, TEXT.encode())
    check(KEY.public_key(), TEXT.encode(), signature)
    number = int.from_bytes(TEXT.encode())
    for bit in range(8 * len(TEXT)):
        with pytest.raises(SignatureError):
            check(KEY.public_key(), (number ^ (1 << bit)).to_bytes(len(TEXT)), signature)
    with pytest.raises(SignatureError):
        check(KEY.public_key(), TEXT.encode() + b"\n", signature)


def test_the_chain_is_the_sum_of_text_and_raw_signature() -> None:
    """``cat receipt.txt receipt.sig | sha256sum`` gives the link that the next receipt carries."""
    signed = SignedReceipt(text=TEXT, kid=key_id(KEY.public_key()), signature=sign(KEY, TEXT.encode()))
    assert signed.chain() == hashlib.sha256(TEXT.encode() + b64decode(signed.signature)).hexdigest()
