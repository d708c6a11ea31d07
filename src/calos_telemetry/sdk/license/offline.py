"""The license key as configured, checked without any network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.license import License, open_license, possession
from calos_telemetry.contract.signing import decode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import LicenseError, SettingsError, SignatureError
from calos_telemetry.settings import Settings

_BEGIN = "-----BEGIN"
_MAX_BYTES = 64 * 1024


def license_text(settings: Settings) -> str | None:
    """Return the text of the configured license key: ``CALOS_LICENSE_KEY`` holds it, or names a file that does.

    Raises :class:`LicenseError` when the file cannot be read.
    """
    given = settings.license_key
    if given is None or given.lstrip().startswith(_BEGIN):
        return given
    try:
        with Path(given).expanduser().open("rb") as file:
            return file.read(_MAX_BYTES).decode("ascii", "replace")
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a home directory that nobody has
        why = getattr(error, "strerror", None) or "not a file name"
        raise LicenseError(
            f"CALOS_LICENSE_KEY names a file that cannot be read ({why}): give the key or its file"
        ) from None


@dataclass(frozen=True, slots=True)
class HeldKey:
    """The configured license key: what it proves, its proof for the vendor, and in words why it proves nothing."""

    license: License | None = None
    proof: str | None = None
    problem: str | None = None


def is_silent(settings: Settings, license_key: License | None) -> bool:
    """Say whether the install is air-gapped and must open no socket: an Enterprise key with that right, switched off.

    The right does not end with the key, so that an install that was silent never begins to talk by itself.
    """
    if license_key is None or not settings.telemetry_disabled:
        return False
    return license_key.air_gapped and license_key.tier is Tier.ENTERPRISE


def hold_license(settings: Settings, install_id: str) -> HeldKey:
    """Read the configured key once, so that what it proves and the proof of holding it are of the same key."""
    try:
        text = license_text(settings)
        if text is None:
            return HeldKey()
        license_ = open_license(text, decode_public(_vendor_key(settings)))
        return HeldKey(license_, possession(text, install_id))
    except SignatureError:
        return HeldKey(problem="CALOS_VENDOR_KEY is damaged: copy it again from the vendor's documents")
    except (LicenseError, SettingsError) as error:
        return HeldKey(problem=str(error))


def read_license(settings: Settings) -> tuple[License | None, str | None]:
    """Return the license that the configured key proves, and in words why a configured key proves nothing."""
    held = hold_license(settings, "")
    return held.license, held.problem


def proven_tier(license_key: License | None) -> Tier:
    """Return the tier that a license key proves now, offline; community without a valid one."""
    if license_key is None or not license_key.valid_at(now_ms()):
        return Tier.COMMUNITY
    return license_key.tier


def _vendor_key(settings: Settings) -> str:
    if settings.vendor_key is None:
        raise SettingsError("a license key is set but CALOS_VENDOR_KEY is not: set it, so that the key can be checked")
    return settings.vendor_key
