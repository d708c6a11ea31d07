"""The operator's "start anew": the lease is forgotten, the key, its grace and a signed no are not."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sdk.license.far_side import DAY, START, Clock, FarSide, NearSide

from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import StateError
from calos_telemetry.sdk.license.clearing import clear_lease
from calos_telemetry.sdk.license.election import elected
from calos_telemetry.sdk.license.standing import standing_on_disk

Make = Callable[..., NearSide]


def soon_due(side: NearSide, time: Clock) -> bool:
    """Say whether a verification is due within two minutes, as the background asks: once a minute."""
    found = False
    for _ in range(2):
        time.now += 60_000
        found = found or side.verifier.due(time.now)
    return found


def test_the_next_verification_starts_anew(near: NearSide, time: Clock) -> None:
    """What the vendor said about the key counts no more, the key alone proves the tier, and the license is verified
    within two minutes instead of a week; its answer is a newer lease, and no copy is suspected."""
    assert near.verify().ok
    assert not soon_due(near, time)
    before = near.verifier.held_lease()
    clear_lease(near.settings.home)
    assert standing_on_disk(near.settings).held_for_key() is None
    assert (near.state().tier, near.state().warning) == (Tier.PRO, None)
    assert soon_due(near, time)
    assert near.verify().code == "VALID"
    assert near.verifier.held_lease() > before


def test_a_warning_of_the_lease_goes_with_it(near: NearSide, time: Clock) -> None:
    """After an outage longer than lease and grace, the warning is gone until the vendor has been asked again."""
    near.verify()
    time.now += 40 * DAY
    assert near.state().warning is not None
    clear_lease(near.settings.home)
    assert near.state().warning is None


def test_a_revoked_license_stays_revoked(near: NearSide, far: FarSide, make: Make, time: Clock) -> None:
    """The vendor's signed no is no lease: it holds until the vendor says otherwise, and is asked anew at once."""
    issued = far.issue(Tier.ENTERPRISE)
    side = make("revoked", license_key=issued.key)
    far.revoke(issued)
    assert side.verify().code == "REVOKED"
    clear_lease(side.settings.home)
    assert side.state().tier is Tier.COMMUNITY
    assert soon_due(side, time)
    assert near.state().tier is Tier.PRO


def test_an_old_lease_is_refused_afterwards(near: NearSide) -> None:
    """Forgetting keeps the number: nobody can play back an older answer by clearing first."""
    near.verify()
    number = near.verifier.held_lease()
    clear_lease(near.settings.home)
    assert near.verifier.held_lease() == number


def test_what_is_damaged_goes(near: NearSide) -> None:
    """A lease file that proves nothing is deleted, and its warning with it."""
    near.verify()
    lease = near.settings.home / "lease.json"
    lease.write_bytes(b"{")
    assert near.state().warning is not None
    clear_lease(near.settings.home)
    assert not lease.exists()
    assert near.state().warning is None


def test_nothing_to_forget_is_no_error(near: NearSide) -> None:
    """An install that never verified, and one that clears twice, end the same."""
    for _ in range(2):
        clear_lease(near.settings.home)
        assert near.state().tier is Tier.PRO


def test_while_a_verification_runs_nothing_is_forgotten(near: NearSide) -> None:
    """The sentence says to try again; the lease that is being renewed is as it was."""
    near.verify()
    lease = (near.settings.home / "lease.json").read_bytes()
    with elected(near.settings.home), pytest.raises(StateError, match="try again"):
        clear_lease(near.settings.home)
    assert (near.settings.home / "lease.json").read_bytes() == lease


@pytest.mark.parametrize("name", ["lease.json", "plan.json"])
def test_a_file_that_cannot_be_changed_is_told(near: NearSide, name: str) -> None:
    """Something else in its place is an error in words that names it."""
    near.verify()
    (near.settings.home / name).unlink()
    (near.settings.home / name).mkdir()
    with pytest.raises(StateError, match=name):
        clear_lease(near.settings.home)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["clear", "verify", "a day"]), max_size=12))
def test_no_order_of_clearing_takes_the_tier_or_looks_like_a_copy(make: Make, time: Clock, steps: list[str]) -> None:
    """However often somebody clears, between verifications and without, a valid key keeps its tier and is no fork."""
    time.now = START
    side = make(secrets.token_hex(8))
    for step in steps:
        if step == "a day":
            time.now += DAY
        elif step == "clear":
            clear_lease(side.settings.home)
        else:
            assert side.verify().code == "VALID"
        assert side.state().tier is Tier.PRO
