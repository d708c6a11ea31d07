"""What the operator is told about the license; never the license key itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calos_telemetry.clock import to_iso
from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.sdk.license.state import LicenseState

if TYPE_CHECKING:
    from calos_telemetry.sdk.license.lease import Held
    from calos_telemetry.sdk.telemetry import Telemetry
    from calos_telemetry.settings import Settings


def license_content(telemetry: Telemetry) -> dict[str, Any]:
    """Return what holds now, and what the vendor last said."""
    return {"license": _said(telemetry.license), "lease": _lease(_held(telemetry.settings))}


def _said(state: LicenseState) -> dict[str, Any]:
    return {
        "tier": state.tier.value,
        "valid": state.valid,
        "reason": state.reason,
        "warning": state.warning,
        "features": sorted(state.features),
        "allow_white_label": state.allow_white_label,
        "branding_required": state.branding_required,
    }


def _held(settings: Settings) -> Held | None:
    from calos_telemetry.sdk.license.standing import standing_on_disk  # noqa: PLC0415 - loads cryptography

    try:
        return standing_on_disk(settings).held_for_key()
    except (CalosTelemetryError, OSError):
        return None


def _lease(held: Held | None) -> dict[str, Any] | None:
    answer = held.answer if held is not None else None
    lease = answer.license.lease if answer is not None else None
    if answer is None or lease is None:
        return None
    return {
        "code": answer.license.code,
        "number": lease.number,
        "verified_at": to_iso(answer.now),
        "expires_at": to_iso(lease.expires_at),
        "grace_until": to_iso(lease.grace_until),
    }
