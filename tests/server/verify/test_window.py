"""The window of the next verification: one in every period, at a place of each install's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.tiers import DAY, Tier, terms_of
from calos_telemetry.server.verify.lease import lease_for, next_check

NOW = 1_800_000_000_000
tiers = st.sampled_from((Tier.COMMUNITY, Tier.PRO, Tier.ENTERPRISE))
installs = st.uuids().map(lambda one: one.hex)


def period_of(tier: Tier) -> int:
    return (terms_of(tier).verify_every or DAY) * 1_000


@given(tiers, installs, st.integers(0, 10**9))
def test_it_leaves_a_third_of_the_period_and_time_for_retries(tier: Tier, install: str, later: int) -> None:
    """Never sooner than a third of the period, and so early that half a period is left for retries before lease and grace
    are over."""
    now, period = NOW + later, period_of(tier)
    window = next_check(tier, install, b"vendor", now)
    assert now + period // 3 <= window.not_before < window.not_after
    assert window.not_after <= lease_for(tier, None, 1, now).grace_until - period // 2


@given(tiers, installs, st.integers(0, 10**9), st.floats(0, 1))
def test_whoever_keeps_it_verifies_once_in_a_period(tier: Tier, install: str, later: int, place: float) -> None:
    """Wherever in its window an install calls, the next one begins exactly a period after this one began."""
    window = next_check(tier, install, b"vendor", NOW + later)
    called = window.not_before + int(place * (window.not_after - window.not_before))
    assert next_check(tier, install, b"vendor", called).not_before == window.not_before + period_of(tier)


def test_a_thousand_installs_that_begin_together_are_spread_over_the_period() -> None:
    """Every tenth of a day holds about a tenth of the windows, although all installs began in the same millisecond."""
    begins = [
        next_check(Tier.COMMUNITY, f"{n:032x}", b"vendor", NOW).not_before % period_of(Tier.COMMUNITY)
        for n in range(1_000)
    ]
    tenths = [begin * 10 // period_of(Tier.COMMUNITY) for begin in begins]
    assert all(60 <= tenths.count(tenth) <= 140 for tenth in range(10))
