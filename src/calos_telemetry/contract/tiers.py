"""The four tiers and what each allows (DESIGN §4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HOUR = 3_600
DAY = 24 * HOUR


class Tier(StrEnum):
    """How an install is licensed.  ``development`` is decided by the host, never by a license key."""

    DEVELOPMENT = "development"
    COMMUNITY = "community"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class Telemetry(StrEnum):
    """Whether an install of a tier sends telemetry."""

    NONE = "none"
    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a tier brings: durations in seconds, ``domains`` as a number of host names (``None`` is unlimited)."""

    telemetry: Telemetry
    branding_required: bool
    verify_every: int | None
    grace: int | None
    domains: int | None
    features: frozenset[str]


_PRO = frozenset({"white_label", "multi_domain", "priority_support"})
_ENTERPRISE = _PRO | {"api_access", "air_gapped"}

TERMS: dict[Tier, Terms] = {
    Tier.DEVELOPMENT: Terms(Telemetry.NONE, False, None, None, None, _ENTERPRISE),
    Tier.COMMUNITY: Terms(Telemetry.REQUIRED, True, DAY, DAY, 1, frozenset()),
    Tier.PRO: Terms(Telemetry.REQUIRED, False, 7 * DAY, 7 * DAY, 5, _PRO),
    Tier.ENTERPRISE: Terms(Telemetry.OPTIONAL, False, 30 * DAY, 30 * DAY, None, _ENTERPRISE),
}

LICENSED_TIERS = (Tier.PRO, Tier.ENTERPRISE)


def terms_of(tier: Tier) -> Terms:
    """Return what ``tier`` brings."""
    return TERMS[tier]
