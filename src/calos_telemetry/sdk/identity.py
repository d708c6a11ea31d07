"""Who this install is: a random number and a key pair, made at first start."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from calos_telemetry.contract.fields import INSTALL_ID
from calos_telemetry.contract.signing import parse_private, private_pem
from calos_telemetry.errors import SignatureError, StateError
from calos_telemetry.private_files import create_once


@dataclass(frozen=True, slots=True)
class Identity:
    """``install_id`` is 32 random hex digits, tied to nothing; ``key`` signs what the install sends."""

    install_id: str
    key: Ed25519PrivateKey


def load_identity(home: Path) -> Identity:
    """Return the identity kept in ``home``; the first of any number of racing processes makes it.

    Raises :class:`StateError` or :class:`SignatureError` when a file is damaged or readable by others.
    """
    install_id = create_once(home / "install_id", lambda: secrets.token_hex(16).encode()).decode("latin-1").strip()
    if re.fullmatch(INSTALL_ID, install_id) is None:
        # A new number under the old key, or the old number under a new key, would look like a copied machine.
        raise StateError(
            f"{home / 'install_id'} does not hold 32 hex digits: restore it, or move install_id and install.key aside"
            " to begin as a new install"
        )
    path = home / "install.key"
    pem = create_once(path, lambda: private_pem(Ed25519PrivateKey.generate()))
    try:
        return Identity(install_id, parse_private(pem))
    except SignatureError as error:
        raise SignatureError(
            f"{path}: {error}: restore it, or move install_id and install.key aside to begin as a new install"
        ) from None
