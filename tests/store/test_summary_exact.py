"""The summary equals a plain count over the events, for any events and any window, on each engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, update
from tests.conftest import ENGINES, Open, empty

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage, Performance
from calos_telemetry.contract.histogram import bucket_of
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from calos_telemetry.store.retention import delete_old
from calos_telemetry.store.summary import summarise
from calos_telemetry.store.tables import event_parts, event_rows

from .summary_oracle import Seen, summary_of

MINE, OTHERS = "ab" * 16, "cd" * 16
MIDNIGHT = 1_764_028_800_000
KINDS = {"database": "OperationalError", "network": "TimeoutError"}

requests = st.builds(
    ApiRequest,
    method=st.sampled_from(("GET", "POST")),
    path=st.sampled_from(("/api/pos/:id", "/graphql", "/")),
    status=st.sampled_from((200, 204, 404, 500)),
    duration_us=st.one_of(st.none(), st.integers(0, 3_000_000)),
    feature=st.sampled_from((None, "pos", "forum")),
    session=st.sampled_from((None, "00" * 8, "11" * 8)),
    country=st.sampled_from((None, "DE", "FR")),
    browser=st.sampled_from((None, "Chrome")),
    database_us=st.sampled_from((0, 250)),
)
features = st.builds(FeatureUsage, feature=st.sampled_from(("pos", "theme")), session=st.sampled_from((None, "00" * 8)))
failures = st.sampled_from([ErrorEvent(category=kind, name=name, path="/", stack="s") for kind, name in KINDS.items()])
transactions = st.builds(
    Performance,
    metric=st.just("transaction"),
    name=st.sampled_from(("checkout", "refund")),
    duration_us=st.integers(0, 900_000),
    success=st.booleans(),
    error=st.sampled_from((None, "payment")),
)


queries = st.builds(
    lambda name, duration, times: Performance(
        metric="database_query",
        name=name,
        duration_us=duration,
        count=times,
        total_us=duration * times,
        buckets={bucket_of(duration): times},
    ),
    st.sampled_from(("SELECT orders", "UPDATE stock")),
    st.integers(0, 900_000),
    st.integers(1, 5),
)
"""Many equal queries, counted together as the process does it."""

moments = st.one_of(
    st.integers(MIDNIGHT - 3 * MS_PER_DAY, MIDNIGHT + 3 * MS_PER_DAY),
    st.tuples(st.integers(-72, 72), st.sampled_from((-1, 0, 1))).map(lambda it: MIDNIGHT + it[0] * MS_PER_HOUR + it[1]),
)
events = st.lists(st.tuples(moments, st.one_of(requests, features, failures, transactions, queries)), max_size=40)
windows = st.tuples(moments, st.one_of(st.integers(1, 6), st.integers(20, 100)))


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, open_lasting: Open) -> Engine:
    """Return one database for many examples, on each engine."""
    return open_lasting(request.param)


def keep(engine: Engine, seen: Sequence[tuple[int, Event]], install_id: str = MINE, budget: int = 10**6) -> None:
    batch = [Stored(f"{install_id[:8]}{number:024x}", at, each) for number, (at, each) in enumerate(seen)]
    with writing(engine) as connection:
        store_events(connection, install_id, batch, budget)


def ask(engine: Engine, now: int, hours: int) -> dict[str, Any]:
    with engine.connect() as connection:
        return summarise(connection, MINE, now=now, hours=hours)


@settings(max_examples=80, deadline=None)
@given(seen=events, window=windows)
def test_any_window_equals_a_plain_count(engine: Engine, seen: Seen, window: tuple[int, int]) -> None:
    """Whatever lies where, at an edge, in an hour or in a day, it is counted once, and another install's not at all."""
    empty(engine)
    keep(engine, seen)
    keep(engine, [(at, each) for at, each in seen if not isinstance(each, Performance)][:5], OTHERS)
    found = ask(engine, *window)
    expected = summary_of(seen, *window)
    for one in (found, expected):
        one["topErrors"].sort(key=lambda row: (-row["count"], row["name"]))
    assert found == expected


def busy_days() -> Seen:
    """Return a request in every minute of four days, with what else may happen in some."""
    seen: Seen = []
    for minute in range(4 * 24 * 60):
        at = MIDNIGHT - 2 * MS_PER_DAY + minute * 60_000 + 17
        status = 500 if minute % 50 == 0 else 200
        seen.append((at, ApiRequest("GET", f"/r{minute % 7}", status, minute * 1_000, country="DE", feature="pos")))
        if minute % 60 == 0:
            seen.append((at, FeatureUsage(feature="theme")))
    return seen


@pytest.fixture(params=ENGINES)
def busy(request: pytest.FixtureRequest, open_on: Open) -> Engine:
    """Return a database that is filled with busy days."""
    engine = open_on(request.param)
    keep(engine, busy_days())
    return engine


EXACT = ("performance", "apiStats", "statusClasses", "latency", "slowRequests", "totalRequests")


@pytest.mark.parametrize("kind", ENGINES)
def test_whole_hours_stay_exact_of_a_thinned_day(kind: str, open_on: Open) -> None:
    """Of events that were counted and not kept the summary still knows routes, answers and latencies, and says so."""
    full, thinned = open_on(kind), open_on(kind)
    keep(full, busy_days())
    keep(thinned, busy_days(), budget=700)
    now, hours = MIDNIGHT + 20 * MS_PER_HOUR - 1, 30
    complete, sample = ask(full, now, hours), ask(thinned, now, hours)
    assert {name: sample[name] for name in EXACT} == {name: complete[name] for name in EXACT}
    assert sample["totalEvents"] < complete["totalEvents"]
    assert complete["notes"] == []
    (note,) = sample["notes"]
    assert re.match(r"\d+ of 2928 events are kept of days under heavy load: features, failures and countries", note)


@pytest.mark.parametrize("kind", ENGINES)
def test_requests_without_a_duration_are_counted_from_the_sample_of_a_thinned_day(kind: str, open_on: Open) -> None:
    """Of an access log's busy day the totals stay exact, the routes are those of the lines kept, and a note says so."""
    engine = open_on(kind)
    lines = [(MIDNIGHT + n * 60_000, ApiRequest("GET", "/a", 200, None)) for n in range(1_000)]
    keep(engine, lines, budget=100)
    found = ask(engine, MIDNIGHT + MS_PER_DAY - 1, 24)
    (note,) = found["notes"]
    kept = int(note.split(" of 1000 events are kept")[0])
    assert (found["totalRequests"], found["statusClasses"]) == (1_000, {"2xx": 1_000})
    assert [row["count"] for row in found["routes"]] == [kept]
    assert "requests without a duration are counted from those" in note


def test_whole_days_need_no_event(busy: Engine) -> None:
    """Days that lie in the window as a whole are exact in everything, with not one of their events."""
    now, hours = MIDNIGHT + MS_PER_DAY - 1, 48
    before = ask(busy, now, hours)
    with writing(busy) as connection:
        connection.execute(delete(event_rows))
    assert {**ask(busy, now, hours), "notes": []} == before


def test_only_the_failures_of_a_window_are_looked_at(busy: Engine) -> None:
    """Messages hardly repeat, so those of other days, as many as they are, must cost a summary nothing."""
    failed = [
        (at, ErrorEvent(category="database", name="E", message=f"order of {at}", stack="s"))
        for at in (MIDNIGHT - 2 * MS_PER_DAY, MIDNIGHT + 3 * MS_PER_HOUR, MIDNIGHT + 4 * MS_PER_HOUR)
    ]
    keep(busy, failed, install_id=MINE)
    unreadable = {"data": "no JSON: whoever reads it fails"}
    with writing(busy) as connection:
        old = (event_parts.c.event_type == "error") & (event_parts.c.used_on < MIDNIGHT // MS_PER_DAY)
        assert connection.execute(update(event_parts).where(old).values(unreadable)).rowcount == 1
    assert ask(busy, MIDNIGHT + 20 * MS_PER_HOUR, 19)["errors"] == [{"error_type": "database", "count": 2}]


def test_what_was_cleaned_up_is_said(busy: Engine) -> None:
    """Of days whose events went after 90 days the counts remain, and a note says what does not."""
    now, hours = MIDNIGHT + 2 * MS_PER_DAY - 1, 96
    before = ask(busy, now, hours)
    delete_old(busy, MIDNIGHT)
    after = ask(busy, now, hours)
    kept = ("featureUsage", "totalEvents", "totalRequests", "statusClasses", "countries", "hours")
    pairs = [([row["count"] for row in it["featureUsage"]], *(it[name] for name in kept[1:])) for it in (before, after)]
    assert pairs[0] == pairs[1]
    assert after["latency"]["count"] == before["latency"]["count"] // 2
    assert after["notes"] == [
        "events are kept from 2025-11-25 on: of earlier days whole ones are counted, without routes, latencies and sessions"
    ]


def test_a_day_needs_few_queries(busy: Engine) -> None:
    """A summary asks a fixed number of questions, however much there is: twenty round trips at most."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(busy, "before_cursor_execute", note)
    ask(busy, MIDNIGHT + 20 * MS_PER_HOUR + 30_000, 24)
    event.remove(busy, "before_cursor_execute", note)
    assert len([one for one in asked if "SELECT" in one and "FROM" in one]) <= 20
