"""Grace is counted in time that was lived through."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from calos_telemetry.sdk.license.grace import Grace

NOW = 1_800_000_000_000
MINUTE = 60_000
LOOK = 5 * MINUTE


def test_a_key_never_seen_valid_has_only_the_clock(tmp_path: Path) -> None:
    """A key that was expired from the first look on is judged by the clock, and by nothing else."""
    assert Grace(tmp_path / "grace.json").used("key", NOW) is None


def test_a_jump_of_years_costs_five_minutes(tmp_path: Path) -> None:
    """The clock leaps ten years ahead: one look takes five minutes off the grace, not ten years."""
    grace = Grace(tmp_path / "grace.json")
    grace.seen_valid("key", NOW)
    assert grace.used("key", NOW + 10 * 365 * 86_400_000) == LOOK


def test_time_lived_through_adds_up(tmp_path: Path) -> None:
    """A look a minute, as the background does, uses the grace a minute at a time, also across restarts."""
    Grace(tmp_path / "grace.json").seen_valid("key", NOW)
    used = [Grace(tmp_path / "grace.json").used("key", NOW + minute * MINUTE) for minute in range(1, 11)]
    assert used == [minute * MINUTE for minute in range(1, 11)]


def test_a_renewed_key_has_its_whole_grace(tmp_path: Path) -> None:
    """What one key has used says nothing about another, and a key seen valid again begins anew."""
    grace = Grace(tmp_path / "grace.json")
    grace.seen_valid("old", NOW)
    assert grace.used("old", NOW + MINUTE) == MINUTE
    assert grace.used("new", NOW + 2 * MINUTE) is None
    grace.seen_valid("old", NOW + 3 * MINUTE)
    assert grace.used("old", NOW + 4 * MINUTE) == MINUTE


def test_a_damaged_or_unwritable_file_takes_nothing_away(tmp_path: Path) -> None:
    """Garbage in the file, or a directory that is not there, is as if nothing had been remembered."""
    path = tmp_path / "grace.json"
    path.write_bytes(b'{"about": 7}')
    path.chmod(0o600)
    assert Grace(path).used("key", NOW) is None
    (tmp_path / "file").touch()
    Grace(tmp_path / "file" / "grace.json").seen_valid("key", NOW)


@settings(deadline=None)
@given(st.lists(st.integers(-(10**13), 10**13), max_size=30))
def test_no_walk_of_the_clock_uses_more_than_five_minutes_a_look(tmp_path_factory: object, steps: list[int]) -> None:
    """Back and forth by centuries: what is used never shrinks and never grows by more than five minutes a look."""
    path = tmp_path_factory.mktemp("grace") / "grace.json"  # type: ignore[attr-defined]  # session-wide, so that Hypothesis may use it
    grace, now, before = Grace(path), NOW, 0
    grace.seen_valid("key", now)
    for step in steps:
        now += step
        used = grace.used("key", now)
        assert used is not None
        assert before <= used <= before + LOOK
        before = used
