"""The license state: every arrow of "Never block" (DESIGN §4.1), and that no walk of clocks and answers leaves it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calos_telemetry.contract import report
from calos_telemetry.contract.tiers import DAY, Tier, terms_of
from calos_telemetry.sdk.license import state
from calos_telemetry.sdk.license.state import Known, LicenseState, Said, community, resolve

NOW = 1_800_000_000_000
DAY_MS = DAY * 1_000
YEAR_MS = 365 * DAY_MS
PRO = frozenset(terms_of(Tier.PRO).features)


def known(**changes: Any) -> Known:
    """Return a Pro license that holds for another year and was verified a moment ago."""
    fields: dict[str, Any] = {
        "tier": Tier.PRO,
        "features": PRO,
        "expires_at": NOW + YEAR_MS,
        "said": said("VALID"),
        "heard_at": NOW,
    }
    return Known(**(fields | changes))


def said(code: str, grace_until: int | None = NOW + 14 * DAY_MS) -> Said:
    return Said(code, f"The vendor says {code}.", grace_until)


def assert_pro(it: LicenseState) -> None:
    assert (it.tier, it.valid, it.features) == (Tier.PRO, True, PRO)
    assert it.allow_white_label
    assert not it.branding_required


def assert_community(it: LicenseState, *, valid: bool = False) -> None:
    """Only where no key is configured is community a valid license; a key that does not hold is none."""
    assert (it.tier, it.valid, it.features) == (Tier.COMMUNITY, valid, frozenset())
    assert not it.allow_white_label
    assert it.branding_required


def test_without_a_key_it_is_community() -> None:
    """No license key means community, which is valid, branded, and nothing to warn of."""
    it = resolve(Known(), NOW)
    assert_community(it, valid=True)
    assert (it.reason, it.warning) == ("no license key: community", None)
    assert it == community()


def test_a_key_that_proves_nothing_says_why() -> None:
    """A damaged key, or one of another vendor, means community with the sentence as reason and as warning."""
    it = resolve(Known(problem="the license key is damaged: paste it again"), NOW)
    assert_community(it)
    assert it.warning == "the license key is damaged: paste it again"
    assert it.warning in it.reason


def test_a_valid_key_needs_no_vendor() -> None:
    """A key that was never verified holds its tier: nothing has been heard, and nothing is wrong."""
    it = resolve(known(said=None, heard_at=0), NOW)
    assert_pro(it)
    assert it.warning is None


def test_a_verified_key_holds_without_a_warning() -> None:
    """The vendor's VALID changes nothing that the key did not say already."""
    assert_pro(resolve(known(), NOW))
    assert resolve(known(), NOW).warning is None


@pytest.mark.parametrize(("days", "warned"), [(0, False), (13, False), (14, True), (365 - 1, True)])
def test_silence_of_the_vendor_only_warns(days: int, warned: bool) -> None:
    """However long the license server is away, nothing is lost; a warning comes once lease and grace are over."""
    it = resolve(known(), NOW + days * DAY_MS)
    assert_pro(it)
    assert (it.warning is not None) is warned
    if warned:
        assert it.warning is not None
        assert "could not be reached" in it.warning


def test_silence_warns_a_community_install_too() -> None:
    """Community loses nothing to silence either, and is told of it."""
    it = resolve(Known(said=said("COMMUNITY", NOW), heard_at=NOW - DAY_MS), NOW)
    assert_community(it, valid=True)
    assert it.warning is not None


@pytest.mark.parametrize("code", ["REVOKED", "EXPIRED"])
def test_only_a_signed_no_takes_the_tier(code: str) -> None:
    """REVOKED and EXPIRED mean community, with the vendor's own sentence as the warning."""
    it = resolve(known(said=said(code)), NOW)
    assert_community(it)
    assert it.warning == f"The vendor says {code}."
    assert code.lower() in it.reason


@pytest.mark.parametrize("code", ["FORKED", "TOO_MANY_DOMAINS", "NOT_FOUND", "CLOCK", "", "SOMETHING_NEW"])
def test_every_other_answer_leaves_the_tier(code: str) -> None:
    """What is no plain no leaves everything as the key proves it, and is shown to the operator."""
    it = resolve(known(said=said(code)), NOW)
    assert_pro(it)
    assert it.warning == f"The vendor says {code}."


def test_an_expired_key_has_its_grace() -> None:
    """A key past its expiry keeps its tier, with a warning, for the grace of the tier, and is community then."""
    key = known(said=None, heard_at=0, expires_at=NOW)
    within = resolve(key, NOW + 7 * DAY_MS - 1)
    assert_pro(within)
    assert within.warning is not None
    assert "renew" in within.warning
    assert_community(resolve(key, NOW + 7 * DAY_MS))


def test_a_clock_far_ahead_costs_a_valid_key_nothing_at_once() -> None:
    """Grace that was lived through counts, not the distance to a clock that jumped ten years ahead."""
    jumped = known(grace_used_ms=5 * 60_000)
    it = resolve(jumped, NOW + 10 * YEAR_MS)
    assert_pro(it)
    assert_community(resolve(known(grace_used_ms=7 * DAY_MS), NOW + 10 * YEAR_MS))


def test_a_clock_set_back_does_not_bring_an_expired_key_back() -> None:
    """The vendor's last signed moment stands, whatever the clock of the machine says later."""
    key = known(expires_at=NOW - 8 * DAY_MS, heard_at=NOW)
    assert_community(resolve(key, NOW - YEAR_MS))


def test_a_clock_set_back_is_told() -> None:
    """A clock behind the vendor's last word is named, and changes nothing else."""
    it = resolve(known(), NOW - DAY_MS)
    assert_pro(it)
    assert it.warning is not None
    assert "clock" in it.warning
    assert resolve(known(), NOW - report.CLOCK_TOLERANCE_MS).warning is None


def test_a_kept_answer_that_proves_nothing_is_told() -> None:
    """A lease file that was tampered with is passed over with a warning, and the key goes on proving its tier."""
    it = resolve(known(said=None, heard_at=0, doubt="lease.json is passed over: it is damaged"), NOW)
    assert_pro(it)
    assert it.warning == "lease.json is passed over: it is damaged"


def test_the_tolerance_is_the_contracts() -> None:
    """The light module's copy of the clock's tolerance is the same as the contract's."""
    assert state.CLOCK_TOLERANCE_MS == report.CLOCK_TOLERANCE_MS


moments = st.integers(0, 4 * NOW)
answers = st.builds(
    Said,
    st.sampled_from(["VALID", "FORKED", "TOO_MANY_DOMAINS", "COMMUNITY", "NEW_CODE"]),
    st.text(max_size=20),
    st.none() | moments,
)


@st.composite
def unexpired(draw: st.DrawFn) -> tuple[Known, int]:
    """Return all that may be known about a key that has not expired, and the moment of the question."""
    tier, now = draw(st.sampled_from([Tier.PRO, Tier.ENTERPRISE])), draw(moments)
    expires_in = draw(st.none() | st.integers(1, 4 * NOW))
    it = Known(
        tier=tier,
        features=frozenset(terms_of(tier).features),
        expires_at=None if expires_in is None else now + expires_in,
        said=draw(st.none() | answers),
        heard_at=max(0, now - draw(st.integers(0, NOW))),
        doubt=draw(st.none() | st.text(max_size=20)),
    )
    return it, now


@settings(deadline=None)
@given(unexpired())
def test_nothing_but_a_no_takes_what_a_valid_key_proves(case: tuple[Known, int]) -> None:
    """Whatever the time, the answers, the silence and the state of the files: an unexpired key keeps its tier."""
    it = resolve(*case)
    assert (it.tier, it.valid, it.features) == (case[0].tier, True, case[0].features)


@settings(deadline=None)
@given(
    now=moments, expires_at=moments, told=st.none() | answers, heard_at=moments, used=st.none() | st.integers(0, NOW)
)
def test_an_expired_key_never_outlives_its_grace(
    now: int, expires_at: int, told: Said | None, heard_at: int, used: int | None
) -> None:
    """Once the vendor's own clock, or the time lived through, is past expiry and grace, no answer extends the key."""
    grace = (terms_of(Tier.PRO).grace or 0) * 1_000
    it = resolve(known(expires_at=expires_at, said=told, heard_at=heard_at, grace_used_ms=used), now)
    if heard_at >= expires_at + grace or (used is not None and used >= grace and now >= expires_at):
        assert it.tier is Tier.COMMUNITY
