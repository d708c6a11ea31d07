"""Rotation: new online keys, and where asked for a new root, while everything signed before keeps its proof.

The keyring is replaced in one step and says it all: the new keys beside the old ones, which end when they were to end, and
each root's successor.  The private halves take their places after it; a rotation that was cut short there goes on when
it is repeated.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from calos_telemetry import private_files
from calos_telemetry.contract.keys import (
    Keyring,
    Signed,
    Use,
    name_next_root,
    open_keyring,
    seal_keyring,
)
from calos_telemetry.contract.signing import key_id, parse_private
from calos_telemetry.errors import SignatureError, StateError
from calos_telemetry.server.keys import VendorKeys, key_file, load, online_keys, online_path
from calos_telemetry.store.migrate import file_lock


def root_file(home: Path, number: int) -> Path:
    """Return where the private half of the vendor's root ``number`` (from 1) is made, and looked for."""
    return home / ("root.pem" if number == 1 else f"root-{number}.pem")


def rotate(home: Path, now: int, *, root: Path | None = None, new_root: bool = False) -> VendorKeys:
    """Make new online keys at ``now`` (unix ms), sign them with the root in the file ``root``, and return them.

    With ``new_root`` the root is replaced, too.  Raises :class:`StateError` where a key is missing or another one.
    """
    held = load(home)  # says that `server init` is missing
    with file_lock(home / ".rotation"):
        held = load(home)
        if not _take_their_places(home):
            _publish(home, held, now, root, new_root=new_root)
            _take_their_places(home)
        return load(home)


def _publish(home: Path, held: VendorKeys, now: int, root: Path | None, *, new_root: bool) -> None:
    number = len(held.root_kids)
    present = signer = _root(root or root_file(home, number), held)
    statements: list[Signed] = list(held.keyring.roots)
    if new_root:
        signer = key_file(root_file(home, number + 1))
        statements.append(name_next_root(signer.public_key(), now, present))
    fresh = {use: key_file(_waiting(home, use)) for use in Use}
    before = _keyring(home)
    keys = [*before.keys, *online_keys(fresh, now)]
    renewed = Keyring(v=1, version=before.version + 1, issued_at=now, keys=keys)
    private_files.write(home / "keyring.json", msgspec.json.encode(seal_keyring(renewed, signer, statements)))


def _take_their_places(home: Path) -> bool:
    """Put the keys that the keyring knows already in the place of the old ones; say whether there were any."""
    known = {(key.kid, key.use) for key in _keyring(home).keys}
    waiting = [use for use in Use if _waiting(home, use).exists()]
    published = [use for use in waiting if (key_id(key_file(_waiting(home, use)).public_key()), use) in known]
    for use in published:
        _waiting(home, use).replace(online_path(home, use))
    (home / "keyring.json").touch()  # running servers look at this file
    return bool(published)


def _keyring(home: Path) -> Keyring:
    held = load(home)
    return open_keyring(held.keyring, held.root)


def _root(path: Path, held: VendorKeys) -> Ed25519PrivateKey:
    try:
        key = parse_private(private_files.read(path))
    except FileNotFoundError:
        raise StateError(
            f"{path} is missing: bring the root from its safe place, and name its file with --root"
        ) from None
    except SignatureError as error:
        raise StateError(f"{path} is no root ({error}): bring the root from its safe place") from None
    if key_id(key.public_key()) != held.root_kids[0]:
        raise StateError(
            f"{path} is not the root that signed the present keyring ({held.root_kids[0]}): bring that one"
        )
    return key


def _waiting(home: Path, use: Use) -> Path:
    return online_path(home, use).with_suffix(".next.pem")
