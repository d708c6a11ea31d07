"""The vendor's keys on disk, and the ceremony that makes them.

Under the server's home::

    root.pem                     the offline root: signs keyrings only; move it to a safe place after ``server init``
    root.pub                     the root's public key (base64url): what every install pins as CALOS_VENDOR_KEY
    keys/{license,answer,receipt}.pem   the online keys, 90 days each
    keyring.json                 the root's signature over the online keys' public halves
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from calos_telemetry import private_files
from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, hour_of
from calos_telemetry.contract.keys import KEYRING_CONTEXT, Keyring, OnlineKey, Signed, Use, open_keyring, seal
from calos_telemetry.contract.license import LICENSE_CONTEXT, License, LicenseFile, armour
from calos_telemetry.contract.receipt import Receipt, SignedReceipt
from calos_telemetry.contract.report import answer_base
from calos_telemetry.contract.signing import (
    decode_public,
    encode_public,
    key_id,
    parse_private,
    private_pem,
    sign,
)
from calos_telemetry.errors import SignatureError, StateError

ONLINE_DAYS = 90


@dataclass(frozen=True, slots=True)
class VendorKeys:
    """The online keys and the keyring that vouches for them; the root's private half is not among them."""

    root: Ed25519PublicKey
    keyring: Signed
    online: dict[Use, Ed25519PrivateKey]
    valid_until: int

    @property
    def root_kid(self) -> str:
        """Return the name of the root: what an install's signature is bound to."""
        return key_id(self.root)

    def license_key(self, license_: License) -> str:
        """Sign ``license_`` and return it in its text form."""
        signed = seal(LICENSE_CONTEXT, msgspec.json.encode(license_), self.online[Use.LICENSE])
        return armour(LicenseFile(license=signed, keyring=self.keyring))

    def receipt(self, receipt: Receipt) -> SignedReceipt:
        """Sign ``receipt``."""
        key, text = self.online[Use.RECEIPT], receipt.text()
        return SignedReceipt(text=text, kid=key_id(key.public_key()), signature=sign(key, text.encode()))

    def answer(self, status: int, request_digest: str, nonce: str, body: bytes) -> str:
        """Return the ``Calos-Signature`` header of an answer."""
        key = self.online[Use.ANSWER]
        return f"{key_id(key.public_key())}.{sign(key, answer_base(status, request_digest, nonce, body))}"


def init(home: Path, now: int) -> VendorKeys:
    """Make the vendor's keys where they are missing, and return them.

    Repeating it changes nothing, and a ceremony that was cut short goes on where it stopped: the keyring is written
    last and stands for the whole.
    """
    private_files.ensure_directory(home)
    if (home / "keyring.json").exists():
        return load(home)
    root = _key_file(home / "root.pem")
    private_files.create_once(home / "root.pub", lambda: encode_public(root.public_key()).encode() + b"\n")
    online = {use: _key_file(_online_path(home, use)) for use in Use}
    keyring = seal(KEYRING_CONTEXT, msgspec.json.encode(_keyring(online, now)), root)
    private_files.create_once(home / "keyring.json", lambda: msgspec.json.encode(keyring))
    return load(home)


def load(home: Path) -> VendorKeys:
    """Read the vendor's keys.  Raises :class:`StateError` where there are none, or where they do not fit together."""
    try:
        root = decode_public(private_files.read(home / "root.pub").decode().strip())
        document = msgspec.json.decode(private_files.read(home / "keyring.json"), type=Signed)
        online = {use: parse_private(private_files.read(_online_path(home, use))) for use in Use}
    except FileNotFoundError as error:
        raise StateError(
            f"{home} holds no vendor keys ({error.filename} is missing): run `calos-telemetry server init` first"
        ) from None
    except (SignatureError, ValueError) as error:
        raise StateError(f"the vendor keys in {home} are damaged ({error}): restore them from the backup") from None
    return VendorKeys(root=root, keyring=document, online=online, valid_until=_checked(home, document, root, online))


def _checked(home: Path, document: Signed, root: Ed25519PublicKey, online: dict[Use, Ed25519PrivateKey]) -> int:
    """Return when the first online key ends, once each is known to be in the keyring."""
    try:
        keyring = open_keyring(document, root)
    except SignatureError as error:
        raise StateError(f"{home}/keyring.json is not of {home}/root.pub ({error}): restore both together") from None
    ends = {(key.kid, key.use): key.not_after for key in keyring.keys}
    mine = [(key_id(key.public_key()), use) for use, key in online.items()]
    missing = [use.value for kid, use in mine if (kid, use) not in ends]
    if missing:
        raise StateError(f"{home}/keyring.json does not know the key of {', '.join(missing)}: restore both together")
    return min(ends[name] for name in mine)


def _keyring(online: dict[Use, Ed25519PrivateKey], now: int) -> Keyring:
    begin = hour_of(now) - MS_PER_HOUR  # so that an install whose clock is a little behind accepts the first answer
    keys = [
        OnlineKey(
            kid=key_id(key.public_key()),
            public=encode_public(key.public_key()),
            use=use,
            not_before=begin,
            not_after=begin + ONLINE_DAYS * MS_PER_DAY,
        )
        for use, key in online.items()
    ]
    return Keyring(v=1, version=1, issued_at=now, keys=keys)


def _key_file(path: Path) -> Ed25519PrivateKey:
    return parse_private(private_files.create_once(path, lambda: private_pem(Ed25519PrivateKey.generate())))


def _online_path(home: Path, use: Use) -> Path:
    return home / "keys" / f"{use.value}.pem"
