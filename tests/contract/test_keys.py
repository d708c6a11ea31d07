"""The keyring: the root vouches for online keys, each for one use and one span of time."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from calos_telemetry.contract.keys import (
    KEYRING_CONTEXT,
    Keyring,
    OnlineKey,
    Signed,
    SignedKeyring,
    Use,
    name_next_root,
    newest_root,
    open_keyring,
    seal,
    seal_keyring,
    unseal,
)
from calos_telemetry.contract.license import LICENSE_CONTEXT
from calos_telemetry.contract.signing import b64decode, b64encode, encode_public, key_id
from calos_telemetry.errors import SignatureError

ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
ONLINE = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
KID = key_id(ONLINE.public_key())


def keyring() -> Keyring:
    public = encode_public(ONLINE.public_key())
    key = OnlineKey(kid=KID, public=public, use=Use.ANSWER, not_before=100, not_after=200)
    return Keyring(v=1, version=3, issued_at=100, keys=[key])


def as_keyring(document: Signed) -> SignedKeyring:
    return SignedKeyring(payload=document.payload, kid=document.kid, signature=document.signature)


def test_a_key_signs_its_use_within_its_time() -> None:
    """Name, use and moment must all fit; both ends of the time belong to it."""
    ring = keyring()
    for at in (100, 150, 200):
        assert encode_public(ring.public_key(KID, Use.ANSWER, at)) == encode_public(ONLINE.public_key())
    for kid, use, at in (
        (KID, Use.ANSWER, 99),
        (KID, Use.ANSWER, 201),
        (KID, Use.LICENSE, 150),
        (KID, Use.RECEIPT, 150),
        ("other", Use.ANSWER, 150),
    ):
        with pytest.raises(SignatureError, match="by keyring 3"):
            ring.public_key(kid, use, at)


def test_only_the_root_vouches() -> None:
    """What another key signed is no keyring, whatever it says about who signed it."""
    document = seal_keyring(keyring(), ROOT)
    assert open_keyring(document, ROOT.public_key()) == keyring()
    forged = seal_keyring(keyring(), ONLINE)
    with pytest.raises(SignatureError):
        open_keyring(msgspec.structs.replace(forged, kid=document.kid), ROOT.public_key())


def test_a_document_of_one_kind_is_none_of_another() -> None:
    """The root's signature over a license, if there were one, would not make a keyring."""
    document = as_keyring(seal(LICENSE_CONTEXT, msgspec.json.encode(keyring()), ROOT))
    with pytest.raises(SignatureError):
        open_keyring(document, ROOT.public_key())


def test_a_payload_cannot_swallow_the_context() -> None:
    """The context line ends where the payload begins: no payload makes one context look like another."""
    document = seal("calos", b"keys-v1\n{}", ROOT)
    with pytest.raises(SignatureError):
        unseal(
            "calos\nkeys-v1", Signed(payload=b64encode(b"{}x"), kid="", signature=document.signature), ROOT.public_key()
        )


def test_every_flipped_bit_of_the_payload_is_refused() -> None:
    """No bit of a keyring can change after it was signed."""
    document = seal_keyring(keyring(), ROOT)
    payload = b64decode(document.payload)
    number = int.from_bytes(payload)
    for bit in range(8 * len(payload)):
        changed = b64encode((number ^ (1 << bit)).to_bytes(len(payload)))
        with pytest.raises(SignatureError):
            open_keyring(msgspec.structs.replace(document, payload=changed), ROOT.public_key())


def test_a_genuine_keyring_of_an_unknown_form_is_said_to_be_one() -> None:
    """A newer vendor's keyring is told apart from a forged one."""
    document = as_keyring(seal(KEYRING_CONTEXT, b'{"v":2}', ROOT))
    with pytest.raises(SignatureError, match="form this version knows"):
        open_keyring(document, ROOT.public_key())


def succession(number: int) -> tuple[list[Ed25519PrivateKey], list[Signed]]:
    """Return ``number`` roots and what each but the last says about the next."""
    roots = [ROOT, *(Ed25519PrivateKey.from_private_bytes(bytes([each]) * 32) for each in range(1, number))]
    pairs = itertools.pairwise(roots)
    return roots, [name_next_root(after.public_key(), 100, before) for before, after in pairs]


def test_whoever_pins_an_earlier_root_is_led_to_the_present_one() -> None:
    """From the first of four roots or any later one, the keyring of the last is opened; a stranger's root opens none."""
    roots, statements = succession(4)
    document = seal_keyring(keyring(), roots[-1], statements)
    for pinned in roots:
        assert open_keyring(document, pinned.public_key()) == keyring()
        assert key_id(newest_root(document, pinned.public_key())) == key_id(roots[-1].public_key())
    with pytest.raises(SignatureError):
        open_keyring(document, ONLINE.public_key())


def test_a_missing_or_forged_statement_leads_nowhere() -> None:
    """Left out, signed by somebody else, signed as another kind of document, or of an unknown form: the keyring is refused."""
    roots, statements = succession(3)
    stranger = name_next_root(roots[1].public_key(), 100, ONLINE)
    forged = msgspec.structs.replace(stranger, kid=statements[0].kid)
    other_kind = seal(KEYRING_CONTEXT, b64decode(statements[0].payload), ROOT)
    unknown = seal("calos-root-v1", b'{"v":2}', ROOT)
    for first in ([], [stranger], [forged], [other_kind], [unknown]):
        document = seal_keyring(keyring(), roots[-1], [*first, statements[1]])
        with pytest.raises(SignatureError):
            open_keyring(document, ROOT.public_key())


def test_every_flipped_bit_of_a_root_statement_is_refused() -> None:
    """Exhaustive over payload and signature of the statement that leads to the next root."""
    roots, (statement,) = succession(2)
    for part in ("payload", "signature"):
        data = b64decode(getattr(statement, part))
        for bit in range(8 * len(data)):
            changed = b64encode((int.from_bytes(data) ^ (1 << bit)).to_bytes(len(data)))
            broken = msgspec.structs.replace(statement, **{part: changed})
            with pytest.raises(SignatureError):
                open_keyring(seal_keyring(keyring(), roots[-1], [broken]), ROOT.public_key())
