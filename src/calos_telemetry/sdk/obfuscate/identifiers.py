"""Keyed hashes of users and sessions: the same within an install, never the same across two."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Final, cast

from calos_telemetry import private_files
from calos_telemetry.errors import StateError

SECRET_BYTES: Final = 32
"""256 bits, so that the key cannot be guessed even by who knows all the ids."""

_HASH_DIGITS: Final = 16  # hexadecimal: 64 bits, no collision expected below a thousand million users
_CACHED: Final = 8_192  # of each: about 1.5 MB, and most sessions of a busy site are among them
_LONGEST: Final = 1024  # bytes of an identifier that count
_READ: Final = slice(_LONGEST)
_BLOCK: Final = 64  # bytes of a SHA-256 block
_USER: Final = b"calos user\0"
_SESSION: Final = b"calos session\0"
_ANONYMOUS: Final = b"calos anonymous session\0"


def load_secret(path: Path) -> bytes:
    """Return the install's secret of 32 bytes; the first caller makes it, whatever number of processes race.

    Raises :class:`StateError` where others may read the file, where it is a link, or where it holds something else.
    """
    secret = private_files.create_once(path, _new_key)
    if len(secret) != SECRET_BYTES:
        raise StateError(
            f"{path} is not a secret of {SECRET_BYTES} bytes: restore it, or remove it to start new hashes"
        )
    return secret


class Identifiers:
    """Hashes the users and sessions of one install with its ``secret`` (HMAC-SHA-256, first 16 hexadecimal digits).

    Users and sessions have their own keys, so that a session id that equals a user id tells nothing.  The latest
    answers are remembered, at most 8192 of each.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"the secret has {len(secret)} bytes, it must have {SECRET_BYTES}")
        self.user = _Hash(secret, _USER).of
        """Return the hash of a user id; ``None`` for no user."""
        self.session = _Hash(secret, _SESSION).of
        """Return the hash of a session id; ``None`` for no session."""


def obfuscate_user_id(value: object, secret: bytes) -> str | None:
    """Return the hash of a user id under ``secret``, as :meth:`Identifiers.user` does, without remembering it."""
    return _Hash(secret, _USER).of(value)


class _Hash:
    """One context's HMAC-SHA-256 with its two inner states prepared once (RFC 2104, section 4).

    Most identifiers of a busy site are seen for the first time, so this runs twice a request: copying the states costs
    half of what :mod:`hmac` does.
    """

    def __init__(self, secret: bytes, context: bytes) -> None:
        key = hmac.digest(secret, context, "sha256").ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
        self._known: dict[str, str] = {}

    def of(self, value: object) -> str | None:
        """Return the hash of an identifier; ``None`` for none."""
        if value is None:
            return None
        if type(value) is not str:
            return self._hash(value)
        known = self._known.get(value)
        return self._remember(value) if known is None else known

    def _remember(self, value: str) -> str | None:
        hashed = self._hash(value)
        if hashed is not None and len(value) <= _LONGEST:
            if len(self._known) >= _CACHED:
                self._known.clear()  # dearer books of what was used last cost more than they save
            self._known[value] = hashed
        return hashed

    def _hash(self, value: object) -> str | None:
        plain = _plain(value)
        if plain is None:
            return None
        inner = self._inner.copy()
        inner.update(plain)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()[:_HASH_DIGITS]


def _plain(value: object) -> bytes | None:
    """Return the bytes that stand for an identifier: ``7``, ``"7"`` and ``b"7"`` are one user; an unknown type is none.

    No method of a stranger's class is called.
    """
    kind = type(value)  # asked of the object itself, isinstance would call its ``__class__``
    if issubclass(kind, str):
        plain = str.__getitem__(cast("str", value), _READ).encode("utf-8", "surrogatepass").strip()
    elif issubclass(kind, bytes):
        plain = bytes.__getitem__(cast("bytes", value), _READ).strip()
    elif issubclass(kind, bytearray):
        plain = bytes(bytearray.__getitem__(cast("bytearray", value), _READ)).strip()
    elif issubclass(kind, uuid.UUID):
        plain = _dashed(cast("uuid.UUID", value))
    elif issubclass(kind, int) and kind is not bool and int.bit_length(cast("int", value)) <= _LONGEST:
        plain = int.__repr__(cast("int", value)).encode()
    else:
        return None
    return plain or None


def _dashed(value: uuid.UUID) -> bytes:
    """Write a UUID with dashes; one of a database driver's own kind may hold its number in its own way."""
    try:
        digits = f"{value.int:032x}"
    except Exception:  # noqa: BLE001  whatever a broken one does, it is no identifier
        return b""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()


class DailyKeys:
    """Tells visits of one day apart where there is no session id, without a cookie and without keeping the address.

    Each day has its own random key, the same for all processes, in a file of its own in ``directory`` that only its
    owner can read.  Only the keys of the latest day and the day before exist; with an older key gone, nobody can link
    a visit to an address any more, this program included.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keys: dict[date, bytes] = {}

    def anonymous_session(self, address: str, user_agent: str, day: date) -> str:
        """Return 16 hexadecimal digits for this visitor on this ``day`` (UTC).  Raises :class:`StateError`."""
        key = self._keys.get(day) or self._key_of(day)
        visitor = _ANONYMOUS + b"\0".join(
            part.encode("utf-8", "surrogatepass") for part in (address, user_agent[:_LONGEST])
        )
        return hmac.digest(key, visitor, "sha256").hex()[:_HASH_DIGITS]

    def _key_of(self, day: date) -> bytes:
        """Read the key of ``day``, or make it: whatever number of processes race, all of them get the first one's."""
        path = self._directory / day.isoformat()
        key = private_files.create_once(path, _new_key)
        if len(key) != SECRET_BYTES:  # a damaged file costs no more than one day's continuity
            private_files.delete(path)
            key = private_files.create_once(path, _new_key)
        self._forget(day - timedelta(days=1))
        self._keys[day] = key
        return key

    def _forget(self, oldest: date) -> None:
        """Delete the keys of the days before ``oldest``, here and in the files."""
        self._keys = {day: key for day, key in self._keys.items() if day >= oldest}
        for path in self._directory.glob("[0-9]*"):
            if path.name < oldest.isoformat():
                private_files.delete(path)


def _new_key() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)
