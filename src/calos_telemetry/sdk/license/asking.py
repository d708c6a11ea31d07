"""Who asks: the license part of a request, and what may stand in it."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version

from calos_telemetry.contract.report import LicensePart, Product
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.offline import HeldKey
from calos_telemetry.settings import Settings

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$")
_NOT_IN_A_VERSION = re.compile(r"[^0-9A-Za-z.+_-]+")


def license_part(settings: Settings, identity: Identity, key: HeldKey, lease_number: int) -> LicensePart:
    """Return the license part of the next request; the license key itself never travels, only the proof of holding it."""
    return LicensePart(
        install_id=identity.install_id,
        install_key=encode_public(identity.key.public_key()),
        license_id=key.license.id if key.license else None,
        proof=key.proof,
        domain=_domain(settings.public_host),
        lease_number=lease_number,
        product=Product(
            app=_version(settings.app_version),
            sdk=_version(version("calos-telemetry")),
            python=_version(platform.python_version()),
            os=_version(platform.system()),
        ),
    )


def _domain(host: str | None) -> str | None:
    """Return the public host name without a port; anything else than a host name does not travel."""
    name = (host or "").strip().lower().partition(":")[0].rstrip(".")
    return name if _HOST.match(name) else None


def _version(text: str) -> str:
    """Return a version without whatever has no place in one: a version must never keep an exchange from leaving."""
    return _NOT_IN_A_VERSION.sub("", text)[:80]
