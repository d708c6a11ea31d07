"""The license state that holds for the request that is being answered, found without the request at hand."""

from __future__ import annotations

from calos_telemetry.sdk.license.attached import LICENSE, attached
from calos_telemetry.sdk.license.state import DEVELOPMENT, LicenseState, community
from calos_telemetry.sdk.policy.hosts import is_development_host
from calos_telemetry.sdk.record.facts import current
from calos_telemetry.sdk.telemetry import telemetry_of

_NO_TELEMETRY = "no Telemetry was created in this process: create one, so that the license can be read"


def current_license() -> LicenseState:
    """Return what the license allows now: in a request, for its host; elsewhere, what the license key proves.

    It needs no request: the license middleware has left it, and without that middleware the telemetry is asked.
    Never raises; without any telemetry it is community.
    """
    holder = attached.get()
    state = holder.get(LICENSE) if holder is not None else None
    return state if isinstance(state, LicenseState) else _asked()


def _asked() -> LicenseState:
    facts = current.get()
    telemetry = telemetry_of(facts)
    if telemetry is None:
        return community(f"community: {_NO_TELEMETRY}", _NO_TELEMETRY)
    host = telemetry.settings.public_host or (facts.host if facts is not None else None)
    return DEVELOPMENT if host is not None and is_development_host(host) else telemetry.license
