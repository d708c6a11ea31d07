"""The license key as configured, checked without any network."""

from __future__ import annotations

from pathlib import Path

from calos_telemetry.contract.license import License, open_license
from calos_telemetry.contract.signing import decode_public
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
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a file name"
        raise LicenseError(
            f"CALOS_LICENSE_KEY names a file that cannot be read ({why}): give the key or its file"
        ) from None


def read_license(settings: Settings) -> tuple[License | None, str | None]:
    """Return the license that the configured key proves, and in words why a configured key proves nothing."""
    try:
        text = license_text(settings)
        if text is None:
            return None, None
        return open_license(text, decode_public(_vendor_key(settings))), None
    except LicenseError as error:
        return None, str(error)
    except SignatureError:
        return None, "CALOS_VENDOR_KEY is damaged: copy it again from the vendor's documents"
    except SettingsError as error:
        return None, str(error)


def _vendor_key(settings: Settings) -> str:
    if settings.vendor_key is None:
        raise SettingsError("a license key is set but CALOS_VENDOR_KEY is not: set it, so that the key can be checked")
    return settings.vendor_key
