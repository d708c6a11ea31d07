"""Ed25519 over bytes, each kind of document under its own context line (SECURITY §2).

A signing base is text lines joined by LF with a final LF; its first line is the context, so a signature made for one
kind of document can never stand for another.  No canonical JSON anywhere: what is signed is what travels.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from calos_telemetry.errors import SignatureError


def b64encode(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64decode(text: str) -> bytes:
    """Read base64url without padding.  Raises :class:`SignatureError` on anything else."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("a base64url text is damaged") from None
    if b64encode(data) != text:
        # Python also takes the other alphabet, more padding and stray last bits: one value would have many texts.
        raise SignatureError("a base64url text is not written the one way that means its bytes")
    return data


def digest(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def signing_base(context: str, *lines: str) -> bytes:
    """Return the bytes to sign.  Raises :class:`SignatureError` when a line would break the framing."""
    if any("\n" in line for line in (context, *lines)):
        raise SignatureError("a signed line may not hold a line feed")
    return ("\n".join((context, *lines)) + "\n").encode()


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """Return the 32 raw bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM, the form ``openssl`` reads."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def encode_public(key: Ed25519PublicKey) -> str:
    """Return a public key as base64url."""
    return b64encode(public_bytes(key))


def decode_public(text: str) -> Ed25519PublicKey:
    """Read a public key from base64url.  Raises :class:`SignatureError`."""
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(text))
    except ValueError:
        raise SignatureError("a public key is not 32 bytes of base64url") from None


def key_id(key: Ed25519PublicKey) -> str:
    """Return the short name of a key: base64url of the first 9 bytes of the SHA-256 of its raw bytes."""
    return b64encode(hashlib.sha256(public_bytes(key)).digest()[:9])


def sign(key: Ed25519PrivateKey, base: bytes) -> str:
    """Return the signature over ``base`` as base64url."""
    return b64encode(key.sign(base))


def check(key: Ed25519PublicKey, base: bytes, signature: str) -> None:
    """Raise :class:`SignatureError` unless ``signature`` (base64url) is ``key``'s over ``base``."""
    try:
        key.verify(b64decode(signature), base)
    except InvalidSignature:
        raise SignatureError("the signature does not match the signed bytes") from None


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def parse_private(pem: bytes) -> Ed25519PrivateKey:
    """Read a private key from PEM.  Raises :class:`SignatureError`."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise SignatureError("a private key file does not hold an Ed25519 key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError("a private key file holds another kind of key than Ed25519")
    return key
