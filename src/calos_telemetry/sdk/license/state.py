"""What the license allows now: a pure function of what is known (DESIGN §4.1, "Never block").

The arrows, all of which have a test:

- no license key, a damaged one, one of another vendor → community, and the reason in words;
- a valid key → its tier, whether or not the vendor can be reached;
- the vendor's signed "revoked" or "expired" about this very key → community;
- a key past its expiry → its tier and a warning while its grace is lived through, then community;
- lease and grace over without contact → nothing is lost; a warning appears;
- a clock behind the vendor's last word → nothing is lost; a warning appears.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from calos_telemetry.clock import date_of
from calos_telemetry.contract.tiers import Tier, terms_of

CLOCK_TOLERANCE_MS = 10 * 60_000  # contract.report's own; that module loads cryptography, and this one must stay light

NO = frozenset({"REVOKED", "EXPIRED"})
"""The only answers that take a tier away; everything else the server says leaves it."""

_SETTLED = frozenset({"VALID", "COMMUNITY"})
"""The answers that leave nothing for the operator to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """The last signed answer about the present license key: its code, its sentence, the end of its grace (unix ms)."""

    code: str
    sentence: str
    grace_until: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about the license.  Times are unix ms.

    ``tier``, ``features`` and ``expires_at`` come from the key; ``problem`` says why a configured key proves nothing.
    ``heard_at`` is the vendor's own time in the last answer, whatever key that was about; ``grace_used_ms`` is how
    much of its grace an expired key has lived through, ``None`` where only the clock can tell.  ``doubt`` says why the
    kept answer could not be used, where there is one.
    """

    tier: Tier = Tier.COMMUNITY
    features: frozenset[str] = frozenset()
    expires_at: int | None = None
    problem: str | None = None
    said: Said | None = None
    heard_at: int = 0
    grace_used_ms: int | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class LicenseState:
    """What holds now.  ``reason`` and ``warning`` are sentences for people.

    ``valid`` is false where a license key is configured that proves nothing (any more); none at all is a valid license,
    that of the community.
    """

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


def _lost(reason: str, warning: str) -> LicenseState:
    """Return the state of an install whose license key does not hold."""
    return LicenseState(Tier.COMMUNITY, valid=False, reason=f"community: {reason}", warning=warning)


DEVELOPMENT = LicenseState(
    Tier.DEVELOPMENT,
    valid=True,
    reason="development host: every feature is there, and nothing is recorded",
    features=terms_of(Tier.DEVELOPMENT).features,
)
"""What holds for a request to a development host, whatever the license key says."""


def resolve(known: Known, now: int) -> LicenseState:
    """Return what holds at ``now`` (unix ms)."""
    if known.problem is not None:
        return _lost(known.problem, known.problem)
    if known.tier is Tier.COMMUNITY:
        return community(warning=_warning(known, now))
    if known.said is not None and known.said.code in NO:
        word = known.said.code.lower()
        return _lost(f"the vendor says that the license is {word}", known.said.sentence)
    if looks_expired(known, now):
        return _past_expiry(known, now)
    reason = f"{known.tier.value}: proved by the license key"
    return LicenseState(known.tier, valid=True, reason=reason, warning=_warning(known, now), features=known.features)


def looks_expired(known: Known, now: int) -> bool:
    """Whether the key has ended by the clock of this machine or by the vendor's last word, which no clock turns back."""
    return known.expires_at is not None and max(now, known.heard_at) >= known.expires_at


def _past_expiry(known: Known, now: int) -> LicenseState:
    expired_at = known.expires_at or 0
    ended = f"the license key expired on {date_of(expired_at)}"
    grace = (terms_of(known.tier).grace or 0) * 1_000
    used = now - expired_at if known.grace_used_ms is None else known.grace_used_ms
    if max(used, known.heard_at - expired_at) < grace:
        reason, warning = f"{known.tier.value}: {ended}, grace holds", f"{ended}: renew it"
        return LicenseState(known.tier, True, reason, warning, known.features)
    return _lost(ended, f"{ended}: renew it")


def _warning(known: Known, now: int) -> str | None:
    """Return what an operator should know; it changes nothing."""
    said = known.said
    if said is not None and said.grace_until is not None and now >= said.grace_until:
        return "the license server could not be reached for longer than lease and grace: check the network"
    if said is not None and said.code not in _SETTLED:
        return said.sentence
    return _clock_warning(known, now)


def _clock_warning(known: Known, now: int) -> str | None:
    if now >= known.heard_at - CLOCK_TOLERANCE_MS:
        return known.doubt
    return "the clock of this machine is behind the license server's last answer: set it right"
