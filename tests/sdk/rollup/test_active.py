"""Active users, sessions, and what is used together: exact, whatever comes late."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.sdk.rollup import aggregates, errors, features, performance, sessions
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.sdk.rollup.limits import MAX_SESSION_FEATURES, OTHER

from .conftest import Rows, Store

NOON = int(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()) * 1_000
MINUTE = 60_000
USERS = ("22" * 8, "33" * 8, "44" * 8)


def stored(*seen: tuple[int, Event]) -> list[Stored]:
    return [Stored(f"{number:032x}", at, event) for number, (at, event) in enumerate(seen)]


def values(rows: Rows, counter: str) -> dict[Any, int]:
    """Return the values of a counter, by date and key."""
    return {(row[1], row[3]): row[4] for row in rows["telemetry_aggregates"] if row[2] == counter}


@settings(max_examples=40, deadline=None)
@given(
    visits=st.lists(st.tuples(st.integers(-35, 35), st.sampled_from(USERS)), min_size=1, max_size=25),
    cuts=st.tuples(st.integers(0, 25), st.integers(0, 25)),
)
def test_active_users_equal_a_plain_count(store: Store, visits: list[tuple[int, str]], cuts: tuple[int, int]) -> None:
    """For each day with a user: those of the day, of 7 and of 30 days, as sets count them, in any order and split."""
    batch = stored(*((NOON + day * MS_PER_DAY, FeatureUsage(feature="pos", user=user)) for day, user in visits))
    first, second = sorted(cuts)
    rows = store([batch[:first], batch[first:second], batch[second:]])
    for name, window in (("active_users_1d", 1), ("active_users_7d", 7), ("active_users_30d", 30)):
        expected = {
            (date_of(NOON + day * MS_PER_DAY), ""): len({user for one, user in visits if 0 <= day - one < window})
            for day, _ in visits
        }
        assert values(rows, name) == expected


def use(feature: str, session: str = "00" * 8) -> FeatureUsage:
    return FeatureUsage(feature=feature, session=session)


def test_pairs_and_transitions_of_a_session(store: Store) -> None:
    """A session counts once for each pair of its features, and for each step from one first use to the next."""
    rows = store(
        [
            stored(
                (NOON, use("pos")),
                (NOON + 1, use("theme")),
                (NOON + 2, use("pos")),
                (NOON + 3, use("forum")),
                (NOON, use("pos", "11" * 8)),
                (NOON + 9, use("theme", "11" * 8)),
            )
        ]
    )
    day = date_of(NOON)
    assert values(rows, "feature_pair") == {
        (day, "pos + theme"): 2,
        (day, "forum + pos"): 1,
        (day, "forum + theme"): 1,
    }
    assert values(rows, "feature_transition") == {(day, "pos > theme"): 2, (day, "theme > forum"): 1}
    assert values(rows, "active_sessions") == {(day, ""): 2}


def test_a_late_use_takes_a_transition_back(store: Store) -> None:
    """A use that arrives late and lies in between makes one step into two, and joins what had been two sessions."""
    batch = stored((NOON, use("pos")), (NOON + 40 * MINUTE, use("forum")), (NOON + 20 * MINUTE, use("theme")))
    day = date_of(NOON)
    rows = store([batch[:2]])
    assert values(rows, "feature_transition") == {}
    assert values(rows, "active_sessions") == {(day, ""): 2}
    rows = store([batch[:2], batch[2:]])
    assert values(rows, "feature_transition") == {(day, "pos > theme"): 1, (day, "theme > forum"): 1}
    assert values(rows, "active_sessions") == {(day, ""): 1}
    assert values(rows, "session_seconds") == {(day, ""): 2_400}


def test_a_session_over_midnight_is_active_on_both_days(store: Store) -> None:
    """It counts as active on each day that it touches, and its length on the day on which it began."""
    late = NOON + 12 * 60 * MINUTE - 5 * MINUTE
    request = ApiRequest(method="GET", path="/", status=200, session="00" * 8)
    rows = store([stored((late, request), (late + 10 * MINUTE, request))])
    assert values(rows, "active_sessions") == {("2026-11-25", ""): 1, ("2026-11-26", ""): 1}
    assert values(rows, "session_seconds") == {("2026-11-25", ""): 600}


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_session_with_too_many_features_keeps_the_earliest(store: Store, data: st.DataObject) -> None:
    """However the uses of one session arrive, its pairs are those of the features that were used first."""
    names = [f"f{number:02}" for number in range(MAX_SESSION_FEATURES + 5)]
    batch = stored(*((NOON + number, use(name)) for number, name in enumerate(names)))
    order = data.draw(st.permutations(batch))
    rows = store([order[:10], order[10:]])
    pairs = {key for _, key in values(rows, "feature_pair")}
    assert pairs == {f"{one} + {two}" for one, two in combinations(names[:MAX_SESSION_FEATURES], 2)}


def test_the_day_of_the_week_is_counted(store: Store) -> None:
    """25 November 2026 is a Wednesday."""
    request = ApiRequest(method="GET", path="/", status=200)
    rows = store([stored((NOON, request), (NOON + 4 * MS_PER_DAY, request))])
    assert values(rows, "weekday") == {("2026-11-25", "3"): 1, ("2026-11-29", "7"): 1}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave room for three names in each table that is kept for ever."""
    monkeypatch.setattr(features, "MAX_FEATURES", 3)
    monkeypatch.setattr(errors, "MAX_ERRORS", 3)
    monkeypatch.setattr(aggregates, "MAX_KEYS", 3)
    monkeypatch.setattr(performance, "MAX_SERIES", 3)


@pytest.mark.usefixtures("small")
def test_names_beyond_the_limit_are_counted_together(store: Store) -> None:
    """Nothing is lost: known names go on, new ones are (other), and the overflow says how many those were."""
    batch = [use(f"f{number}", session=f"{number:016x}") for number in range(6)]
    rows = store(
        [stored(*((NOON, one) for one in batch[:2])), stored(*((NOON + 1, one) for one in (*batch, batch[5])))[2:]]
    )
    day = date_of(NOON)
    assert {row[1]: row[2] for row in rows["telemetry_features"]} == {"f0": 1, "f1": 1, "f2": 1, OTHER: 4}
    assert values(rows, "feature") == {(day, "f0"): 1, (day, "f1"): 1, (day, "f2"): 1, (day, OTHER): 4}
    assert values(rows, "overflow") == {(day, "feature"): 4}


@pytest.mark.usefixtures("small")
def test_operations_beyond_the_limit_are_measured_together(store: Store) -> None:
    """Templates that are made on the fly do not fill an hour: what was there goes on, the others are one series."""
    asked = [ApiRequest(method="GET", path=f"/{number}", status=200, duration_us=number) for number in range(6)]
    first, later = stored(*((NOON, one) for one in asked[:2])), stored(*((NOON, one) for one in (*asked, asked[5])))[2:]
    rows = store([first, later])
    measured = {row[4]: (row[6], row[7], row[8]) for row in rows["telemetry_performance"]}
    assert measured == {"/0": (1, 0, 0), "/1": (1, 1, 1), "/2": (1, 2, 2), OTHER: (4, 17, 5)}
    assert values(rows, "overflow") == {(date_of(NOON), "performance"): 4}


@pytest.mark.usefixtures("small")
def test_failures_beyond_the_limit_are_one_row(store: Store) -> None:
    """Exception classes that are made on the fly do not fill the disk; no message of theirs is kept."""
    made = [ErrorEvent(category="api", name=f"Error{number}", message="m") for number in range(5)]
    rows = store([stored(*((NOON, one) for one in made[:3])), stored(*((NOON + 1, one) for one in made * 2))[3:]])
    counts: dict[str, int] = defaultdict(int)
    for row in rows["telemetry_errors"]:
        counts[row[3] if row[1] != errors.OVERFLOW else OTHER] += row[9]
        assert (row[4] == "") == (row[1] == errors.OVERFLOW)
    assert sum(counts.values()) == 10
    assert counts[OTHER] == 4
    assert len(rows["telemetry_errors"]) == 4


def test_the_message_of_the_earliest_occurrence_stays(store: Store) -> None:
    """A failure that arrives late and happened first gives the row its message, stack, method and status."""
    late = ErrorEvent(category="api", name="E", message="late", stack="x\nf:1", method="GET", status=500)
    early = ErrorEvent(category="api", name="E", message="early", stack="y\nf:1", status=502)
    rows = store([stored((NOON, late)), stored((NOON, late), (NOON - 5, early))[1:]])
    ((*_, message, stack, path, method, status, count, first, last),) = rows["telemetry_errors"]
    assert (message, stack, path, method, status) == ("early", "y\nf:1", None, None, 502)
    assert (count, first, last) == (2, NOON - 5, NOON)


def test_sessions_are_few_queries(store: Store) -> None:
    """More sessions than one query may ask for are found again, every one."""
    many = [use("pos", session=f"{number:016x}") for number in range(sessions._LOOKUP + 50)]
    batch = stored(*((NOON, one) for one in many), *((NOON + MINUTE, one) for one in many))
    rows = store([batch[: len(many)], batch[len(many) :]])
    assert len(rows["telemetry_sessions"]) == len(many)
    assert values(rows, "active_sessions") == {(date_of(NOON), ""): len(many)}
