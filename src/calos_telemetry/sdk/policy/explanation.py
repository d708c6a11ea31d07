"""The policy in words: what is collected and sent, when, to whom and why, and what the operator's file takes away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from calos_telemetry.contract.tiers import HOUR, Tier, terms_of
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.policy.restrictions import Restrictions
from calos_telemetry.settings import Settings


class Told(NamedTuple):
    """One answer: to which question, and in which words."""

    topic: str
    text: str


def explain(settings: Settings, policy: Policy, tier: Tier) -> list[Told]:
    """Return the policy of an install that is licensed as ``tier``, as it is at this moment."""
    told = [
        Told("collected", _collected(settings, policy)),
        Told("why", policy.store().reason),
        Told("sent", _sent(settings, policy)),
        Told("when", _when(policy, tier)),
        Told("to whom", settings.server),
    ]
    told += [Told("taken away", text) for text in _taken_away(policy.file.restrictions)]
    return told + [Told("note", note) for note in (policy.note, policy.file.note) if note]


def _collected(settings: Settings, policy: Policy) -> str:
    if not policy.store().allowed:
        return "nothing"
    hosts = f"visitors of {settings.public_host}" if settings.public_host else "visitors of any public host"
    return f"obfuscated events of {hosts}, kept in your own database; nothing on development hosts"


def _sent(settings: Settings, policy: Policy) -> str:
    if settings.vendor_key is None:
        return "nothing, because CALOS_VENDOR_KEY is not set"
    if not policy.send().allowed:
        return "the license check alone"
    return "the license check, and counts, latencies and scrubbed failures; never a single visit, never a user or a session"


def _when(policy: Policy, tier: Tier) -> str:
    every = terms_of(tier).verify_every
    if every is None:
        return "never"
    text = f"every {every // HOUR} hours, which is what the {tier.value} tier asks for"
    hours = policy.file.review_hours
    return f"{text}; a report waits {hours:g} hours to be read, the license check does not" if hours else text


def _taken_away(restrictions: Restrictions | None) -> Iterator[str]:
    if restrictions is None:
        yield "nothing, by a policy file"
        return
    kinds = {
        "categories": sorted(restrictions.categories),
        "fields": sorted(restrictions.fields),
        "routes": list(restrictions.routes),
        "features": list(restrictions.features),
        "countries": sorted(restrictions.countries),
    }
    yield from (f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
