"""The vendor's keys: one offline root, and a root-signed keyring of short-lived online keys.

Clients pin the root only.  A keyring names each online key, what it may sign, and when; a newer version replaces an
older one and never the other way round.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from calos_telemetry.contract.fields import Moment
from calos_telemetry.contract.signing import b64decode, b64encode, check, decode_public, key_id, sign
from calos_telemetry.errors import SignatureError

KEYRING_CONTEXT = "calos-keys-v1"


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


def seal(context: str, payload: bytes, key: Ed25519PrivateKey) -> Signed:
    """Sign ``payload`` under ``context``."""
    signature = sign(key, _base(context, payload))
    return Signed(payload=b64encode(payload), kid=key_id(key.public_key()), signature=signature)


def unseal(context: str, document: Signed, key: Ed25519PublicKey) -> bytes:
    """Return the payload of ``document`` if ``key`` signed it under ``context``; else :class:`SignatureError`."""
    payload = b64decode(document.payload)
    check(key, _base(context, payload), document.signature)
    return payload


def open_keyring(document: Signed, root: Ed25519PublicKey) -> Keyring:
    """Return the keyring that ``root`` signed.  Raises :class:`SignatureError`."""
    payload = unseal(KEYRING_CONTEXT, document, root)
    try:
        return msgspec.json.decode(payload, type=Keyring)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SignatureError("the keyring is signed but not in a form this version knows") from None


def _base(context: str, payload: bytes) -> bytes:
    return context.encode() + b"\n" + payload
