"""What the license allows now, from what lies on this machine: its key and the vendor's last answer.

No database and no network, so that neither can keep a request waiting or take a paid feature away.
"""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.signing import decode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import CalosTelemetryError, SignatureError
from calos_telemetry.sdk.identity import load_identity
from calos_telemetry.sdk.license.grace import Grace
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.lease import LEASE, Held, LeaseFile
from calos_telemetry.sdk.license.offline import HeldKey, hold_license, is_silent
from calos_telemetry.sdk.license.state import Known, LicenseState, Said, looks_expired, resolve
from calos_telemetry.sdk.license.transport import HttpTransport, NoTransport, Transport
from calos_telemetry.settings import Settings


class Standing:
    """The license of one install, as its files prove it; each is read anew, so that a renewed key needs no restart."""

    def __init__(self, settings: Settings, install_id: str, transport: Transport) -> None:
        self._settings = settings
        self._install_id = install_id
        self._transport = transport
        self._grace = Grace(settings.home / "grace.json")
        self.lease = LeaseFile(settings.home / LEASE)
        self.root = _root_of(settings)

    @property
    def keys(self) -> KnownKeys | None:
        """Return the vendor's keys as far as they are known; ``None`` without a pinned vendor key."""
        if self.root is None:
            return None
        return KnownKeys(self._settings.home / "keys.json", self.root, self.transport)

    @property
    def silent(self) -> bool:
        """Whether this install must open no socket."""
        return is_silent(self._settings, self.key().license)

    @property
    def transport(self) -> Transport:
        """Return the wire to the vendor; an air-gapped install has none."""
        return NoTransport() if self.silent else self._transport

    def key(self) -> HeldKey:
        """Return the configured license key and what it proves."""
        return hold_license(self._settings, self._install_id)

    def held(self) -> tuple[Held | None, str | None]:
        """Return the last answer with a lease, or why the kept one proves nothing."""
        keys = self.keys
        if keys is None or not self.lease.exists():
            return None, None
        return self.lease.load(keys.cached_key)

    def held_for_key(self) -> Held | None:
        """Return the last answer with a lease, if it is about the present license key."""
        held, _ = self.held()
        return held if held is not None and held.about == self.key().proof else None

    def state(self, now: int) -> LicenseState:
        """Return what the license allows at ``now`` (unix ms)."""
        key = self.key()
        held, doubt = self.held()
        # An answer about another key says nothing about this one: a renewed license is not the revoked one before it.
        told = held.answer.license if held is not None and held.about == key.proof else None
        known = _known_of(key)
        if told is not None:
            known = replace(known, said=Said(told.code, told.message, told.lease.grace_until if told.lease else None))
        known = replace(known, heard_at=held.answer.now if held else 0, doubt=doubt)
        return resolve(replace(known, grace_used_ms=self._grace_used(key, known, now)), now)

    def _grace_used(self, key: HeldKey, known: Known, now: int) -> int | None:
        if key.proof is None:
            return None
        if looks_expired(known, now):
            return self._grace.used(key.proof, now)
        self._grace.seen_valid(key.proof, now)
        return None


def state_on_disk(settings: Settings) -> LicenseState:
    """Return what the license allows now.  Where ``CALOS_HOME`` cannot be used, the license key speaks for itself."""
    now = now_ms()
    try:
        standing = standing_on_disk(settings)
    except (CalosTelemetryError, OSError):
        return resolve(_known_of(hold_license(settings, "")), now)
    return standing.state(now)


def standing_on_disk(settings: Settings) -> Standing:
    """Return the license of the install in ``CALOS_HOME``.  Raises :class:`StateError` or ``OSError`` without one."""
    identity = load_identity(settings.home)
    return Standing(settings, identity.install_id, HttpTransport(settings.server))


def _known_of(key: HeldKey) -> Known:
    return Known(
        tier=key.license.tier if key.license else Tier.COMMUNITY,
        features=key.license.brings() if key.license else frozenset(),
        expires_at=key.license.expires_at if key.license else None,
        problem=key.problem,
    )


def _root_of(settings: Settings) -> Ed25519PublicKey | None:
    try:
        return decode_public(settings.vendor_key) if settings.vendor_key else None
    except SignatureError:
        return None
