"""The vendor's keys: one offline root, and a root-signed keyring of short-lived online keys.

Clients pin a root only.  A keyring names each online key, what it may sign, and when; a newer version replaces an
older one and never the other way round.  A root names its successor under its own signature, and these statements travel
with the keyring: whoever pins an earlier root is led to the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from calos_telemetry.contract.fields import Moment
from calos_telemetry.contract.signing import b64decode, b64encode, check, decode_public, encode_public, key_id, sign
from calos_telemetry.errors import SignatureError

KEYRING_CONTEXT = "calos-keys-v1"
ROOT_CONTEXT = "calos-root-v1"
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Use(StrEnum):
    """What an online key may sign."""

    LICENSE = "license"
    ANSWER = "answer"
    RECEIPT = "receipt"


class OnlineKey(msgspec.Struct, frozen=True, kw_only=True):
    """One online key and its time, unix ms."""

    kid: str
    public: str
    use: Use
    not_before: Moment
    not_after: Moment


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """All online keys that hold; ``version`` only ever rises."""

    v: int
    version: int
    issued_at: Moment
    keys: list[OnlineKey]

    def public_key(self, kid: str, use: Use, at: int) -> Ed25519PublicKey:
        """Return the key called ``kid`` if it may sign ``use`` at ``at`` (unix ms); else :class:`SignatureError`."""
        for key in self.keys:
            if key.kid == kid and key.use == use and key.not_before <= at <= key.not_after:
                return decode_public(key.public)
        raise SignatureError(f"key {kid!r} may not sign a {use.value} at that time, by keyring {self.version}")


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signed document as it travels: base64url payload, name of the signing key, signature."""

    payload: str
    kid: str
    signature: str


class SignedKeyring(Signed, frozen=True, kw_only=True):
    """A keyring as it travels.  ``roots``: each root's statement about the next, from the vendor's first root on."""

    roots: list[Signed] = []


class NextRoot(msgspec.Struct, frozen=True, kw_only=True):
    """What a root says when it retires: the public key (base64url) that takes its place."""

    v: int
    public: str
    issued_at: Moment


def seal(context: str, payload: bytes, key: Ed25519PrivateKey) -> Signed:
    """Sign ``payload`` under ``context``."""
    signature = sign(key, _base(context, payload))
    return Signed(payload=b64encode(payload), kid=key_id(key.public_key()), signature=signature)


def unseal(context: str, document: Signed, key: Ed25519PublicKey) -> bytes:
    """Return the payload of ``document`` if ``key`` signed it under ``context``; else :class:`SignatureError`."""
    payload = b64decode(document.payload)
    check(key, _base(context, payload), document.signature)
    return payload


def seal_keyring(keyring: Keyring, root: Ed25519PrivateKey, roots: Sequence[Signed] = ()) -> SignedKeyring:
    """Sign ``keyring`` with ``root``, to which ``roots`` lead."""
    signed = seal(KEYRING_CONTEXT, msgspec.json.encode(keyring), root)
    return SignedKeyring(payload=signed.payload, kid=signed.kid, signature=signed.signature, roots=list(roots))


def name_next_root(successor: Ed25519PublicKey, now: int, root: Ed25519PrivateKey) -> Signed:
    """Let ``root`` say that ``successor`` takes its place."""
    return seal(ROOT_CONTEXT, msgspec.json.encode(NextRoot(v=1, public=encode_public(successor), issued_at=now)), root)


def newest_root(document: SignedKeyring, root: Ed25519PublicKey) -> Ed25519PublicKey:
    """Follow the statements from ``root`` to the root of today.  Raises :class:`SignatureError` on a forged one."""
    for statement in document.roots:
        if statement.kid == key_id(root):
            root = _successor(statement, root)
    return root


def open_keyring(document: SignedKeyring, root: Ed25519PublicKey) -> Keyring:
    """Return the keyring that ``root``, or the root it leads to, signed.  Raises :class:`SignatureError`."""
    signer = newest_root(document, root)
    if document.kid != key_id(signer):
        raise SignatureError("the keyring is signed by another root than the pinned one leads to")
    payload = unseal(KEYRING_CONTEXT, document, signer)
    try:
        return msgspec.json.decode(payload, type=Keyring)
    except _UNREADABLE:
        raise SignatureError("the keyring is signed but not in a form this version knows") from None


def _successor(statement: Signed, root: Ed25519PublicKey) -> Ed25519PublicKey:
    try:
        said = msgspec.json.decode(unseal(ROOT_CONTEXT, statement, root), type=NextRoot)
    except _UNREADABLE:
        raise SignatureError("a root's statement is signed but not in a form this version knows") from None
    return decode_public(said.public)


def _base(context: str, payload: bytes) -> bytes:
    return context.encode() + b"\n" + payload
