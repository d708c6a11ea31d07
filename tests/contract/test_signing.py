"""Signatures over bytes: what was signed verifies, everything else is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract import signing
from calos_telemetry.errors import SignatureError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LINES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20), max_size=5)


@given(st.binary(max_size=200))
def test_base64url_comes_back_and_needs_no_padding(data: bytes) -> None:
    """Every byte string survives, in letters that fit a header and a URL."""
    text = signing.b64encode(data)
    assert signing.b64decode(text) == data
    assert "=" not in text
    assert text.isascii()


@pytest.mark.parametrize("text", ["A", "AA A", "A\n", "+/+/", "ä", "AAAA====", "A" * 5])
def test_what_is_not_base64url_is_refused(text: str) -> None:
    """Spaces, other alphabets and impossible lengths raise our own error, never the library's."""
    with pytest.raises(SignatureError):
        signing.b64decode(text)


@given(LINES, LINES)
def test_different_lines_give_different_bases(first: list[str], second: list[str]) -> None:
    """The framing is unambiguous: two bases are equal only where all lines are."""
    same = signing.signing_base("context", *first) == signing.signing_base("context", *second)
    assert same == (first == second)


@pytest.mark.parametrize("lines", [("a\nb",), ("a", "\n"), ("", "x\n")])
def test_no_line_may_break_the_framing(lines: tuple[str, ...]) -> None:
    """A line feed inside a line would let one document pass for another."""
    with pytest.raises(SignatureError):
        signing.signing_base("context", *lines)
    with pytest.raises(SignatureError):
        signing.signing_base("con\ntext")


def test_every_flipped_bit_is_refused() -> None:
    """Each bit of the signed bytes and of the signature counts."""
    base = signing.signing_base("calos-test-v1", "one", "two")
    signature = signing.b64decode(signing.sign(KEY, base))
    signing.check(KEY.public_key(), base, signing.b64encode(signature))
    for changed in flips(base):
        with pytest.raises(SignatureError):
            signing.check(KEY.public_key(), changed, signing.b64encode(signature))
    for changed in flips(signature):
        with pytest.raises(SignatureError):
            signing.check(KEY.public_key(), base, signing.b64encode(changed))


def test_another_context_is_another_signature() -> None:
    """A signature for one kind of document never stands for another."""
    signature = signing.sign(KEY, signing.signing_base("calos-verify-v1", "x"))
    with pytest.raises(SignatureError):
        signing.check(KEY.public_key(), signing.signing_base("calos-receipt-v1", "x"), signature)


@pytest.mark.parametrize("signature", ["", "AAAA", "A" * 85, "A" * 87, "?" * 86])
def test_a_signature_of_another_shape_is_refused(signature: str) -> None:
    """Too short, too long, not base64url: the same error as a wrong one."""
    with pytest.raises(SignatureError):
        signing.check(KEY.public_key(), b"x", signature)


def test_keys_come_back_from_their_text_forms() -> None:
    """Public keys as base64url, private keys as PEM; a key's short name follows from its bytes."""
    public = signing.encode_public(KEY.public_key())
    assert signing.encode_public(signing.decode_public(public)) == public
    again = signing.parse_private(signing.private_pem(KEY))
    assert signing.encode_public(again.public_key()) == public
    assert signing.key_id(again.public_key()) == signing.key_id(KEY.public_key())
    assert len(signing.key_id(KEY.public_key())) == 12
    assert signing.public_pem(KEY.public_key()).startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 44, "!" * 43])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """Only 32 bytes of base64url are a public key."""
    with pytest.raises(SignatureError):
        signing.decode_public(text)


def test_what_is_no_private_key_is_refused() -> None:
    """Garbage, an encrypted key, a public key, and a key of another kind each have a sentence."""
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    for pem, said in (
        (locked, "does not hold"),
        (b"", "does not hold"),
        (signing.public_pem(KEY.public_key()), "does not hold"),
        (other, "another kind"),
    ):
        with pytest.raises(SignatureError, match=said):
            signing.parse_private(pem)


def flips(data: bytes) -> list[bytes]:
    """Return ``data`` with each single bit flipped."""
    number, length = int.from_bytes(data), len(data)
    return [(number ^ (1 << bit)).to_bytes(length) for bit in range(8 * length)]
