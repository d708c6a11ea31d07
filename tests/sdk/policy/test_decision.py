"""Tier, host and settings → may we collect, may we send, and why not."""

from pathlib import Path

import pytest

from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.settings import Settings


def policy(tier: Tier = Tier.COMMUNITY, *, public_host: str | None = None, disabled: bool = False) -> Policy:
    settings = Settings(home=Path("/nowhere"), public_host=public_host, telemetry_disabled=disabled)
    return Policy(settings, tier)


@pytest.mark.parametrize("tier", [Tier.COMMUNITY, Tier.PRO, Tier.ENTERPRISE])
def test_public_hosts_are_collected_and_development_hosts_never(tier: Tier) -> None:
    """Without a configured host the Host header decides: public ones are recorded, development ones are not."""
    assert policy(tier).collect("shop.example.com").allowed
    assert not policy(tier).collect("localhost:8000").allowed


def test_a_visitor_cannot_switch_collection_off_with_a_header() -> None:
    """A configured public host wins over the Host header that a visitor sends."""
    assert policy(public_host="shop.example.com").collect("localhost").allowed


def test_a_configured_development_host_switches_everything_off() -> None:
    """An install that says it is a development host records, stores and sends nothing."""
    decided = policy(public_host="shop.local")
    assert [decided.collect("shop.example.com").allowed, decided.store().allowed, decided.send().allowed] == [False] * 3


def test_only_a_proven_enterprise_license_can_switch_telemetry_off() -> None:
    """TELEMETRY_DISABLED=true is obeyed for Enterprise; for the other tiers it has no effect and the reason is said."""
    assert not policy(Tier.ENTERPRISE, disabled=True).collect("shop.example.com").allowed
    assert policy(Tier.ENTERPRISE, disabled=True).note is None
    for tier in (Tier.COMMUNITY, Tier.PRO):
        decided = policy(tier, disabled=True)
        assert decided.collect("shop.example.com").allowed
        assert decided.note is not None
        assert "Enterprise" in decided.note


def test_the_switch_is_obeyed_at_each_choke_point() -> None:
    """Switched off means: nothing is recorded, nothing is stored, nothing is sent."""
    decided = policy(Tier.ENTERPRISE, disabled=True)
    assert [decided.collect("a.com").allowed, decided.store().allowed, decided.send().allowed] == [False] * 3


def test_an_install_that_opted_out_verifies_all_the_same() -> None:
    """Who switched telemetry off has a license to be verified; a development host has none, nor who records anyway."""
    assert policy(Tier.ENTERPRISE, disabled=True).verifies_alone("shop.example.com")
    assert policy(Tier.ENTERPRISE, disabled=True, public_host="shop.example.com").verifies_alone("localhost")
    assert not policy(Tier.ENTERPRISE, disabled=True).verifies_alone("localhost:8000")
    assert not policy(Tier.ENTERPRISE, disabled=True, public_host="shop.local").verifies_alone("shop.example.com")
    assert not policy(Tier.ENTERPRISE).verifies_alone("shop.example.com")
    assert not policy(Tier.PRO, disabled=True).verifies_alone("shop.example.com")


def test_a_million_hosts_do_not_fill_the_memory() -> None:
    """Decisions are remembered for a bounded number of hosts, because a visitor may send any header."""
    decided = policy()
    for number in range(5_000):
        decided.collect(f"h{number}.example.com")
    assert len(decided._by_host) <= 1_000
