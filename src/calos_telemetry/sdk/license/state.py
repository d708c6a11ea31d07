"""What the license allows now: a pure function of what is known (DESIGN §4.1, "Never block").

The arrows, all of which have a test:

- no license key, a damaged one, one of another vendor → community, and the reason in words;
- a valid key → its tier, whether or not the vendor can be reached;
- the vendor's signed "revoked" or "expired" → community;
- a key past its expiry → community once lease and grace are over as well, until then its tier and a warning;
- lease and grace over without contact → nothing is lost; a warning appears.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from calos_telemetry.clock import date_of
from calos_telemetry.contract.tiers import Tier, terms_of

NO = frozenset({"REVOKED", "EXPIRED"})
"""The only answers that take a tier away; everything else the server says leaves it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about the license.  Times are unix ms.

    ``tier``, ``features`` and ``expires_at`` come from the key; ``problem`` says why a configured key proves nothing.
    ``verdict`` is the code of the last signed answer, and ``grace_until`` the end of the grace it gave.
    """

    tier: Tier = Tier.COMMUNITY
    features: frozenset[str] = frozenset()
    expires_at: int | None = None
    problem: str | None = None
    verdict: str | None = None
    grace_until: int | None = None


@dataclass(frozen=True, slots=True)
class LicenseState:
    """What holds now.  ``reason`` and ``warning`` are sentences for people."""

    tier: Tier
    valid: bool
    reason: str
    warning: str | None = None
    features: frozenset[str] = field(default_factory=frozenset)

    @property
    def allow_white_label(self) -> bool:
        """Whether the application may be shown without the vendor's brand."""
        return "white_label" in self.features

    @property
    def branding_required(self) -> bool:
        """Whether the vendor's brand must be shown."""
        return terms_of(self.tier).branding_required


def community(reason: str = "no license key: community", warning: str | None = None) -> LicenseState:
    """Return the state of an install without a license."""
    return LicenseState(Tier.COMMUNITY, valid=True, reason=reason, warning=warning)


def resolve(known: Known, now: int) -> LicenseState:
    """Return what holds at ``now`` (unix ms)."""
    if known.problem is not None:
        return community(f"community: {known.problem}", warning=known.problem)
    if known.tier is Tier.COMMUNITY:
        return community(warning=_silence(known, now))
    if known.verdict in NO:
        said = "revoked" if known.verdict == "REVOKED" else "expired"
        return community(f"community: the vendor says that the license is {said}", f"the license is {said}: renew it")
    if known.expires_at is not None and now >= known.expires_at:
        return _past_expiry(known, known.expires_at, now)
    reason = f"{known.tier.value}: proved by the license key"
    return LicenseState(known.tier, valid=True, reason=reason, warning=_silence(known, now), features=known.features)


def _past_expiry(known: Known, expired_at: int, now: int) -> LicenseState:
    ended = f"the license key expired on {date_of(expired_at)}"
    grace = terms_of(known.tier).grace or 0
    if now < max(known.grace_until or 0, expired_at + grace * 1_000):
        reason = f"{known.tier.value}: {ended}, grace holds"
        return LicenseState(known.tier, True, reason, f"{ended}: renew it", known.features)
    return community(f"community: {ended}", f"{ended}: renew it")


def _silence(known: Known, now: int) -> str | None:
    """Return a warning when the vendor has not been heard of for longer than lease and grace; it changes nothing."""
    if known.grace_until is None or now < known.grace_until:
        return None
    return "the license server could not be reached for longer than lease and grace: check the network"
