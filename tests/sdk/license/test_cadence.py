"""When to verify next, with the randomness handed in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calos_telemetry.contract.report import CLOCK_TOLERANCE_MS, NextCheck
from calos_telemetry.contract.tiers import DAY, Tier, terms_of
from calos_telemetry.sdk.license.cadence import Plan, after_answer, after_failure, first

NOW = 1_800_000_000_000
TIERS = (Tier.COMMUNITY, Tier.PRO, Tier.ENTERPRISE)
chances = st.floats(0, 1, exclude_max=True)


def period(tier: Tier) -> int:
    return (terms_of(tier).verify_every or DAY) * 1_000


@settings(deadline=None)
@given(chances)
def test_a_new_install_verifies_within_seconds(chance: float) -> None:
    """The first verification comes within ten seconds, so that an operator sees that it works."""
    assert NOW <= first(NOW, chance).due_at < NOW + 10_000


@settings(deadline=None)
@given(st.sampled_from(TIERS), chances, st.floats(0, 2), st.floats(0, 2))
def test_the_servers_window_is_kept(tier: Tier, chance: float, begin: float, end: float) -> None:
    """Inside the window the server names, wherever it lies within two periods; all of the window is used."""
    low, high = (NOW + int(share * period(tier)) for share in sorted((begin, end)))
    plan = after_answer(NextCheck(not_before=low, not_after=high), tier, NOW, chance)
    assert low <= plan.due_at <= high
    assert plan.failures == 0
    assert after_answer(NextCheck(not_before=low, not_after=high), tier, NOW, 0.0).due_at == low


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("begin", "end"),
    [(-2, -1), (-1, 1), (1, 0), (1, 10**15), (10**15, 10**15)],
    ids=["past", "begun", "turned", "long", "far"],
)
def test_a_window_that_makes_no_sense_is_replaced(tier: Tier, begin: int, end: int) -> None:
    """A window in the past, turned around or years ahead gives way to the tier's own period, from its first third on."""
    window = NextCheck(not_before=NOW + begin, not_after=NOW + end)
    for chance in (0.0, 0.5, 0.999):
        plan = after_answer(window, tier, NOW, chance)
        assert NOW + period(tier) // 3 <= plan.due_at <= NOW + period(tier)


@settings(deadline=None)
@given(st.sampled_from(TIERS), st.integers(0, 10**6), chances)
def test_retries_back_off_up_to_a_third_of_the_period(tier: Tier, failures: int, chance: float) -> None:
    """However often it has failed: not before a minute, not after a minute and a third of the period, with full jitter."""
    plan = after_failure(Plan(NOW, NOW, failures), tier, NOW, chance)
    assert NOW + 60_000 <= plan.due_at <= NOW + 60_000 + period(tier) // 3
    assert plan.failures == failures + 1


def test_the_limit_of_a_retry_doubles() -> None:
    """The second failure may wait twice as long as the first, the third four times as long."""
    waits = [after_failure(Plan(NOW, NOW, failures), Tier.PRO, NOW, 0.5).due_at - NOW - 60_000 for failures in range(5)]
    assert waits == [180_000, 360_000, 720_000, 1_440_000, 2_880_000]


def test_a_plan_is_due_when_its_time_has_come() -> None:
    """Before its time it is not due, at its time it is."""
    plan = Plan(NOW + 10, NOW, 0, "key")
    assert not plan.is_due(NOW + 9, "key")
    assert plan.is_due(NOW + 10, "key")


def test_a_clock_set_back_does_not_silence_an_install() -> None:
    """A plan made by a clock that was a year ahead is due as soon as the clock is right again."""
    plan = Plan(NOW + 10, NOW, 0, None)
    assert not plan.is_due(NOW - CLOCK_TOLERANCE_MS, None)
    assert plan.is_due(NOW - CLOCK_TOLERANCE_MS - 1, None)


def test_another_license_key_is_verified_at_once() -> None:
    """A key that was bought, renewed or taken away does not wait for the period of the one before."""
    plan = Plan(NOW + 10**9, NOW, 0, "old")
    assert plan.is_due(NOW, "new")
    assert plan.is_due(NOW, None)
