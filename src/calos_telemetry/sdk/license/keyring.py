"""The vendor's keyring as the install knows it: pinned to the root, cached, never replaced by an older one."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calos_telemetry import private_files
from calos_telemetry.contract.keys import Keyring, SignedKeyring, Use, newest_root, open_keyring
from calos_telemetry.errors import ProtocolError, SignatureError, StateError
from calos_telemetry.sdk.license.transport import Transport


class KnownKeys:
    """Looks the vendor's online keys up; asks the server for a newer keyring when one is unknown."""

    def __init__(self, path: Path, root: Ed25519PublicKey, transport: Transport) -> None:
        self._path = path
        self._root = root  # the pinned one, until the keyring at hand has led to a later one
        self._transport = transport
        self._keyring: Keyring | None = None

    def cached(self) -> Keyring | None:
        """Return the keyring on the disk, if the root signed it; no network."""
        if self._keyring is None:
            try:
                self._keyring = self._opened(private_files.read(self._path))
            except (FileNotFoundError, StateError, SignatureError, ProtocolError):
                return None
        return self._keyring

    def cached_key(self, kid: str, use: Use, at: int) -> Ed25519PublicKey:
        """Return a key of the keyring on the disk; no network.  Raises :class:`SignatureError`."""
        known = self.cached()
        if known is None:
            raise SignatureError(f"{self._path.name} holds no keyring of the pinned vendor")
        return known.public_key(kid, use, at)

    def public_key(self, kid: str, use: Use, at: int) -> Ed25519PublicKey:
        """Return the key called ``kid`` if it may sign ``use`` at ``at`` (unix ms).

        Raises :class:`SignatureError` when no keyring of the pinned root knows it, :class:`TransportError` when the
        server had to be asked and could not be reached.
        """
        known = self.cached()
        if known is not None:
            try:
                return known.public_key(kid, use, at)
            except SignatureError:
                pass  # perhaps a newer keyring knows it
        return self._refreshed(known).public_key(kid, use, at)

    def offer(self, document: bytes) -> None:
        """Take a keyring that came another way, unless the one at hand is as new."""
        known = self.cached()
        if known is None or self._opened(document).version > known.version:
            self._take(document, known)

    def _refreshed(self, known: Keyring | None) -> Keyring:
        return self._take(self._transport.keys(), known)

    def _take(self, document: bytes, known: Keyring | None) -> Keyring:
        fresh = self._opened(document)
        if known is not None and fresh.version < known.version:
            raise SignatureError(f"the server offers keyring {fresh.version}, older than {known.version}: refused")
        private_files.write(self._path, document)
        self._keyring = fresh
        return fresh

    def _opened(self, document: bytes) -> Keyring:
        """Open a keyring; from then on a root that has retired, and may have been stolen, signs none any more."""
        try:
            signed = msgspec.json.decode(document, type=SignedKeyring)
        except (ValueError, RecursionError):
            raise ProtocolError("the server's keyring is not in a form this version knows") from None
        opened = open_keyring(signed, self._root)
        self._root = newest_root(signed, self._root)
        return opened
