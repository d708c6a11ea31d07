"""A vendor made of fixed keys, without files or databases."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from calos_telemetry.contract.keys import Keyring, OnlineKey, SignedKeyring, Use, seal, seal_keyring
from calos_telemetry.contract.license import LICENSE_CONTEXT, License, LicenseFile, armour
from calos_telemetry.contract.signing import encode_public, key_id
from calos_telemetry.contract.tiers import Tier

BEGIN, END = 1_000_000, 2_000_000
ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
ONLINE = {use: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number, use in enumerate(Use)}


def keyring(root: Ed25519PrivateKey = ROOT) -> SignedKeyring:
    keys = [
        OnlineKey(
            kid=key_id(key.public_key()),
            public=encode_public(key.public_key()),
            use=use,
            not_before=BEGIN,
            not_after=END,
        )
        for use, key in ONLINE.items()
    ]
    return seal_keyring(Keyring(v=1, version=1, issued_at=BEGIN, keys=keys), root)


def license_(**changes: Any) -> License:
    whole = License(
        v=1, id="a" * 32, tier=Tier.PRO, features=["beta"], domains=["shop.example.com"], issued_at=BEGIN,
        expires_at=END, air_gapped=False,
    )  # fmt: skip
    return msgspec.structs.replace(whole, **changes)


def license_key(signer: Ed25519PrivateKey = ONLINE[Use.LICENSE], **changes: Any) -> str:
    signed = seal(LICENSE_CONTEXT, msgspec.json.encode(license_(**changes)), signer)
    return armour(LicenseFile(license=signed, keyring=keyring()))
