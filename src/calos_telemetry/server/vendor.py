"""What the running license server holds: its keys, its databases, its token."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.server import keys as vendor_keys
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.server.store import VendorStore, open_store
from calos_telemetry.settings import ServerSettings

_CLEAN_EVERY_MS = 60_000
_log = logging.getLogger(__name__)


class KeysOnDisk:
    """The vendor's keys as they lie under ``home`` now: a rotation needs no restart."""

    def __init__(self, home: Path) -> None:
        self._file = home / "keyring.json"
        self._home = home
        self._seen = self._version()
        self._keys = vendor_keys.load(home)

    def now(self) -> VendorKeys:
        """Return the keys; while those on the disk do not fit together, the ones before."""
        seen = self._version()
        if seen != self._seen:
            try:
                self._keys, self._seen = vendor_keys.load(self._home), seen
            except CalosTelemetryError as error:
                _log.error("the vendor's keys changed and cannot be used, those before go on: %s", error)
        return self._keys

    def _version(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


@dataclass(slots=True)
class Vendor:
    """Everything a handler needs, made once at start."""

    keys_on_disk: KeysOnDisk
    store: VendorStore
    admin_token: str | None
    _cleaned_at: int = field(default=0, repr=False)

    @property
    def keys(self) -> VendorKeys:
        """Return the vendor's keys."""
        return self.keys_on_disk.now()

    def cleaning_is_due(self, now: int) -> bool:
        """Whether old nonces should go now; true at most once a minute."""
        if 0 <= now - self._cleaned_at < _CLEAN_EVERY_MS:
            return False
        self._cleaned_at = now
        return True

    def start(self) -> None:
        """Begin what runs in the background."""
        if self.store.mover is not None:
            self.store.mover.start()

    def close(self) -> None:
        """Close the databases."""
        self.store.close()


def open_vendor(settings: ServerSettings) -> Vendor:
    """Open the keys and databases under ``settings.home``.  Raises :class:`StateError` and :class:`StoreError`."""
    keys = KeysOnDisk(settings.home)
    return Vendor(keys_on_disk=keys, store=open_store(settings), admin_token=settings.admin_token)
