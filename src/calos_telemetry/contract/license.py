"""The license key: a document signed by the vendor that proves a tier offline."""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calos_telemetry.contract.fields import Moment
from calos_telemetry.contract.keys import Signed, SignedKeyring, Use, open_keyring, unseal
from calos_telemetry.contract.signing import b64decode, digest, signing_base
from calos_telemetry.contract.tiers import Tier, terms_of
from calos_telemetry.errors import LicenseError, SignatureError

LICENSE_CONTEXT = "calos-license-v1"
_BEGIN = "-----BEGIN CALOS LICENSE-----"
_END = "-----END CALOS LICENSE-----"
_DAMAGED = "the license key is damaged: paste it again whole, from BEGIN to END, as the vendor sent it"


class License(msgspec.Struct, frozen=True, kw_only=True):
    """What a license key proves.  Times are unix ms; ``expires_at`` ``None`` means it does not expire."""

    v: int
    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
    tier: Tier
    features: list[str]
    domains: list[str]
    issued_at: Moment
    expires_at: Moment | None
    air_gapped: bool = False

    def valid_at(self, at: int) -> bool:
        """Whether the license has not expired at ``at`` (unix ms)."""
        return self.expires_at is None or at < self.expires_at

    def brings(self) -> frozenset[str]:
        """Return the features of the tier and those the license adds."""
        return terms_of(self.tier).features | frozenset(self.features)


class LicenseFile(msgspec.Struct, frozen=True, kw_only=True):
    """A license key as it travels: the signed license, and the keyring that vouches for the key that signed it."""

    license: Signed
    keyring: SignedKeyring


def armour(file: LicenseFile) -> str:
    """Return the text form of a license key."""
    body = base64.b64encode(msgspec.json.encode(file)).decode()
    return "\n".join((_BEGIN, *textwrap.wrap(body, 64), _END)) + "\n"


def unarmour(text: str) -> LicenseFile:
    """Read the text form, with or without its line breaks.  Raises :class:`LicenseError`."""
    found = re.search(f"{_BEGIN}(.*?){_END}", text, re.DOTALL)
    if found is None:
        raise LicenseError(f"this is no license key: it must begin with {_BEGIN} and end with {_END}")
    try:
        body = base64.b64decode("".join(found[1].split()), validate=True)
        return msgspec.json.decode(body, type=LicenseFile)
    except (binascii.Error, ValueError, RecursionError):
        raise LicenseError(_DAMAGED) from None


def open_license(text: str, root: Ed25519PublicKey) -> License:
    """Return what the license key proves under the pinned vendor key ``root``; no network.

    Raises :class:`LicenseError` when it is damaged or of another vendor.  Expiry is the caller's question, because an
    expired key is still a genuine one.
    """
    file = unarmour(text)
    try:
        keyring = open_keyring(file.keyring, root)
    except SignatureError:
        raise LicenseError(
            "the license key is of another vendor, or damaged: check CALOS_VENDOR_KEY and the key"
        ) from None
    try:
        payload, license_ = _payload(file.license)
        key = keyring.public_key(file.license.kid, Use.LICENSE, license_.issued_at)
        unseal(LICENSE_CONTEXT, file.license, key)
    except SignatureError:
        raise LicenseError(_DAMAGED) from None
    return msgspec.json.decode(payload, type=License)


def with_keyring(text: str, keyring: SignedKeyring) -> str:
    """Return the same license key with another keyring: today's leads an install there that pins any of the roots."""
    return armour(LicenseFile(license=unarmour(text).license, keyring=keyring))


def read_unchecked(text: str) -> License:
    """Return what a license key says, without asking who signed it: for the vendor's own books, which issued it."""
    return _payload(unarmour(text).license)[1]


def possession(text: str, install_id: str) -> str:
    """Return the proof that an install holds a license key, so that the key itself never travels."""
    return digest(signing_base("calos-possession-v1", unarmour(text).license.signature, install_id))


def _payload(document: Signed) -> tuple[bytes, License]:
    payload = b64decode(document.payload)
    try:
        return payload, msgspec.json.decode(payload, type=License)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise LicenseError(_DAMAGED) from None
