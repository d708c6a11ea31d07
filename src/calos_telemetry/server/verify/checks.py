"""The license decision: an ordered, named list of small checks; the first that has something to say decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from calos_telemetry.clock import date_of
from calos_telemetry.contract.license import License
from calos_telemetry.contract.tiers import Tier, terms_of


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the decision rests on.  ``license_`` is the one whose key the install proved to hold."""

    at: int
    license_id: str | None
    license_: License | None
    revoked_why: str | None
    domain: str | None
    domains: frozenset[str]
    other_key: bool
    copied: bool = False

    def proven_tier(self) -> Tier:
        """Return the tier that a valid, unexpired, unrevoked license key proves; community without one."""
        if self.license_ is None or self.revoked_why is not None or not self.license_.valid_at(self.at):
            return Tier.COMMUNITY
        return self.license_.tier


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds: a code for programs, the tier, a sentence for people; ``lease`` false where nothing is promised."""

    code: str
    tier: Tier
    sentence: str
    lease: bool = True


Check: TypeAlias = Callable[[Facts], Decision | None]


def not_found(facts: Facts) -> Decision | None:
    """Answer for a key we do not know: no authoritative "no", so the install keeps what the key itself proves."""
    if facts.license_id is None or facts.license_ is not None:
        return None
    sentence = "This license is not in the vendor's books, or its key was not proved: ask the vendor, naming its id."
    return Decision("NOT_FOUND", Tier.COMMUNITY, sentence, lease=False)


def revoked(facts: Facts) -> Decision | None:
    """Answer for a license that the vendor took back."""
    if facts.revoked_why is None:
        return None
    return Decision("REVOKED", Tier.COMMUNITY, f"The vendor revoked this license: {facts.revoked_why[:300]}")


def expired(facts: Facts) -> Decision | None:
    """Answer for a license that ran out."""
    license_ = facts.license_
    if license_ is None or license_.expires_at is None or license_.valid_at(facts.at):
        return None
    day = date_of(license_.expires_at)
    return Decision("EXPIRED", Tier.COMMUNITY, f"This license expired on {day}: renew it to get {license_.tier} back.")


def forked(facts: Facts) -> Decision | None:
    """Say that two keys speak for one install; the tier stays what the license key proves."""
    if not facts.other_key:
        return None
    sentence = (
        "Another key was enrolled for this install before: a copied or rebuilt machine needs its own install id. "
        "Its license holds; its telemetry is not taken."
    )
    return Decision("FORKED", facts.proven_tier(), sentence)


def copied(facts: Facts) -> Decision | None:
    """Say that two machines seem to share one state directory; nothing is blocked."""
    if not facts.copied:
        return None
    sentence = (
        "Two machines seem to use one state directory, or a backup was restored twice: everything works, but their "
        "telemetry is mixed up; on a copy, move install_id and install.key aside, so that it begins as a new install."
    )
    return Decision("FORKED", facts.proven_tier(), sentence)


def community(facts: Facts) -> Decision | None:
    """Answer for no license key at all."""
    if facts.license_id is not None:
        return None
    return Decision("COMMUNITY", Tier.COMMUNITY, "No license key: the community edition, with its branding.")


def too_many_domains(facts: Facts) -> Decision | None:
    """Say that there are more host names than the tier covers; nothing is blocked."""
    tier = facts.proven_tier()
    limit, used = terms_of(tier).domains, len(facts.domains)
    if limit is None or used <= limit:
        return None
    sentence = f"This license covers {limit} domains and is used on {used}: everything works; ask the vendor for more."
    return Decision("TOO_MANY_DOMAINS", tier, sentence)


def valid(facts: Facts) -> Decision | None:
    """Answer when nothing stands against it."""
    tier = facts.proven_tier()
    named = facts.license_.domains if facts.license_ else []
    if facts.domain is not None and named and facts.domain not in named:
        sentence = f"The license is valid ({tier}), but does not name {facts.domain}: ask the vendor to add it."
    else:
        sentence = f"The license is valid ({tier})."
    return Decision("VALID", tier, sentence)


CHECKS: tuple[tuple[str, Check], ...] = (
    ("not found", not_found),
    ("revoked", revoked),
    ("expired", expired),
    ("forked", forked),
    ("copied", copied),
    ("community", community),
    ("too many domains", too_many_domains),
    ("valid", valid),
)


def decide(facts: Facts) -> Decision:
    """Return the first decision of the list."""
    return next(decision for _, check in CHECKS if (decision := check(facts)) is not None)
