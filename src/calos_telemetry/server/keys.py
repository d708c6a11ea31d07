"""The vendor's keys on disk, and the ceremony that makes them.

Under the server's home::

    root.pem, root-2.pem ...     the offline root: signs keyrings only; move it to a safe place after ``server init``
    root.pub                     the first root's public key (base64url); the keyring leads from it to today's
    keys/{license,answer,receipt}.pem   the online keys, 90 days each
    keyring.json                 the root's signature over the online keys' public halves, and every root's successor
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from calos_telemetry import private_files
from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, hour_of
from calos_telemetry.contract.erasure import ErasureReceipt
from calos_telemetry.contract.keys import (
    Keyring,
    OnlineKey,
    SignedKeyring,
    Use,
    newest_root,
    open_keyring,
    seal,
    seal_keyring,
)
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
    """The online keys and the keyring that vouches for them; the root's private half is not among them.

    ``root`` is today's; ``root_kids`` names it and those before it, to any of which an install's signature may be bound.
    """

    root: Ed25519PublicKey
    root_kids: tuple[str, ...]
    keyring: SignedKeyring
    online: dict[Use, Ed25519PrivateKey]
    valid_until: int

    def license_key(self, license_: License) -> str:
        """Sign ``license_`` and return it in its text form."""
        signed = seal(LICENSE_CONTEXT, msgspec.json.encode(license_), self.online[Use.LICENSE])
        return armour(LicenseFile(license=signed, keyring=self.keyring))

    def receipt(self, receipt: Receipt) -> SignedReceipt:
        """Sign ``receipt``."""
        return self._receipt(receipt.text())

    def erasure(self, receipt: ErasureReceipt) -> SignedReceipt:
        """Sign the receipt of an erasure."""
        return self._receipt(receipt.text())

    def _receipt(self, text: str) -> SignedReceipt:
        key = self.online[Use.RECEIPT]
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
    root = key_file(home / "root.pem")
    private_files.create_once(home / "root.pub", lambda: encode_public(root.public_key()).encode() + b"\n")
    online = {use: key_file(online_path(home, use)) for use in Use}
    keyring = seal_keyring(Keyring(v=1, version=1, issued_at=now, keys=online_keys(online, now)), root)
    private_files.create_once(home / "keyring.json", lambda: msgspec.json.encode(keyring))
    return load(home)


def load(home: Path) -> VendorKeys:
    """Read the vendor's keys.  Raises :class:`StateError` where there are none, or where they do not fit together."""
    try:
        root = decode_public(private_files.read(home / "root.pub").decode().strip())
        document = msgspec.json.decode(private_files.read(home / "keyring.json"), type=SignedKeyring)
        online = {use: parse_private(private_files.read(online_path(home, use))) for use in Use}
    except FileNotFoundError as error:
        raise StateError(
            f"{home} holds no vendor keys ({error.filename} is missing): run `calos-telemetry server init` first"
        ) from None
    except (SignatureError, ValueError) as error:
        raise StateError(f"the vendor keys in {home} are damaged ({error}): restore them from the backup") from None
    valid_until = _checked(home, document, root, online)
    today = newest_root(document, root)
    kids = (key_id(today), *(statement.kid for statement in reversed(document.roots)))
    return VendorKeys(root=today, root_kids=kids, keyring=document, online=online, valid_until=valid_until)


def _checked(home: Path, document: SignedKeyring, root: Ed25519PublicKey, online: dict[Use, Ed25519PrivateKey]) -> int:
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


def online_keys(online: dict[Use, Ed25519PrivateKey], now: int) -> list[OnlineKey]:
    """Return the keyring's lines about ``online`` keys that begin ``now`` (unix ms)."""
    begin = hour_of(now) - MS_PER_HOUR  # so that an install whose clock is a little behind accepts the first answer
    return [
        OnlineKey(
            kid=key_id(key.public_key()),
            public=encode_public(key.public_key()),
            use=use,
            not_before=begin,
            not_after=begin + ONLINE_DAYS * MS_PER_DAY,
        )
        for use, key in online.items()
    ]


def key_file(path: Path) -> Ed25519PrivateKey:
    """Return the private key in ``path``; where there is none, make one."""
    return parse_private(private_files.create_once(path, lambda: private_pem(Ed25519PrivateKey.generate())))


def online_path(home: Path, use: Use) -> Path:
    """Return where the online key for ``use`` lies."""
    return home / "keys" / f"{use.value}.pem"
