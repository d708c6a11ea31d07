"""A state directory that is used twice: a copied machine is told apart from a restored backup, and neither is blocked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sdk.license.far_side import DAY, START, Clock, FarSide, Fault, NearSide, broken_findings, down, lost

from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.settling import Outcome


@pytest.fixture
def twin(near: NearSide, far: FarSide) -> NearSide:
    """Return a second machine with a copy of the first one's state directory."""
    assert near.verify().ok
    return copy(near, far)


def copy(near: NearSide, far: FarSide, name: str = "copy") -> NearSide:
    home = near.settings.home.with_name(name)
    shutil.copytree(near.settings.home, home)
    return NearSide(home, far, near.settings.license_key)


def test_two_machines_with_one_state_directory_are_told(near: NearSide, twin: NearSide, time: Clock) -> None:
    """Within a few verifications both operators read what happened and what to do; the license holds on both."""
    codes: dict[str, set[str | None]] = {"near": set(), "twin": set()}
    for _ in range(6):
        for name, side in (("near", near), ("twin", twin)):
            time.now += DAY
            told = side.verify()
            codes[name].add(told.code)
            assert side.state().tier is Tier.PRO
            assert side.state().valid
    assert "FORKED" in codes["near"] & codes["twin"]
    warning = twin.state().warning
    assert warning is not None
    assert "move install_id and install.key aside" in warning


def test_a_copy_that_begins_anew_ends_the_warning(near: NearSide, twin: NearSide, time: Clock) -> None:
    """Once one of the two did as it was told, the other is warned no more after its next verification."""
    for _ in range(3):
        for side in (near, twin):
            time.now += DAY
            side.verify()
    for _ in range(2):
        time.now += DAY
        told = near.verify()
    assert told.code == "VALID"
    assert near.state().warning is None


def test_a_restored_backup_heals_itself(near: NearSide, far: FarSide, time: Clock) -> None:
    """Identity, lease and ledger go back by a week: the next verification brings all of it up to date, without a word."""
    assert near.verify().ok
    shutil.copytree(near.settings.home, backup := near.settings.home.with_name("backup"))
    for name in ("after", "later"):
        time.now += DAY
        near.use(name)
        assert near.verify().ok
    near.engine.dispose()
    shutil.rmtree(near.settings.home)
    backup.rename(near.settings.home)
    restored = NearSide(near.settings.home, far, near.settings.license_key)
    time.now += DAY
    restored.use("again")
    told = restored.verify()
    assert (told.ok, told.code) == (True, "VALID")
    assert restored.state().warning is None
    assert far.features()["again"] == 1
    assert broken_findings(restored) == [
        "report 2: the receipt does not follow the one before"
    ]  # it says what is missing
    time.now += DAY
    restored.use("and again")
    assert restored.verify().code == "VALID"
    assert len(broken_findings(restored)) == 1


def send(side: NearSide, fate: str) -> Outcome:
    faults: dict[str, list[Fault]] = {"well": [], "lost": [lost] * 4, "down": [down] * 4}
    side.wire.faults = faults[fate]
    try:
        return side.verify()
    finally:
        side.wire.faults = []


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fates=st.lists(st.sampled_from(["well", "lost", "down"]), max_size=12))
def test_one_machine_is_never_taken_for_two(
    make: Callable[..., NearSide], time: Clock, tmp_path: Path, fates: list[str]
) -> None:
    """Whatever the network loses, one machine with one state directory is never said to be copied."""
    time.now = START
    one = make(f"one-{len(list(tmp_path.iterdir()))}")
    for fate in [*fates, "well"]:
        time.now += DAY
        assert send(one, fate).code != "FORKED"
    assert one.state().warning is None
