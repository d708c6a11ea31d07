"""What the running license server holds: its keys, its databases, its token."""

from __future__ import annotations

from dataclasses import dataclass, field

from calos_telemetry.server import keys as vendor_keys
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.server.store import VendorStore, open_store
from calos_telemetry.settings import ServerSettings

_CLEAN_EVERY_MS = 60_000


@dataclass(slots=True)
class Vendor:
    """Everything a handler needs, made once at start."""

    keys: VendorKeys
    store: VendorStore
    admin_token: str | None
    _cleaned_at: int = field(default=0, repr=False)

    def cleaning_is_due(self, now: int) -> bool:
        """Whether old nonces should go now; true at most once a minute."""
        if 0 <= now - self._cleaned_at < _CLEAN_EVERY_MS:
            return False
        self._cleaned_at = now
        return True

    def close(self) -> None:
        """Close the databases."""
        self.store.close()


def open_vendor(settings: ServerSettings) -> Vendor:
    """Open the keys and databases under ``settings.home``.  Raises :class:`StateError` and :class:`StoreError`."""
    keys = vendor_keys.load(settings.home)
    return Vendor(keys=keys, store=open_store(settings.home), admin_token=settings.admin_token)
