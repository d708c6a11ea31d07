"""Events → rows: exact, and independent of how the events arrive."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from calos_telemetry.clock import MS_PER_DAY, date_of, hour_of
from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.events import METRICS, ApiRequest, ErrorEvent, Event, FeatureUsage, Performance
from calos_telemetry.contract.histogram import bucket_of, value_of
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.sdk.rollup.errors import fingerprint
from calos_telemetry.sdk.rollup.performance import read_histogram
from calos_telemetry.sdk.rollup.rebuild import rebuild
from calos_telemetry.sdk.rollup.sessions import IDLE_MS
from calos_telemetry.store.database import writing

from .conftest import INSTALL_ID, Store, rows_of

NOON = int(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()) * 1_000
PATHS = ("/api/pos/:id", "/graphql", "/", "(unmatched)")
SESSIONS = ("00" * 8, "11" * 8)

requests = st.builds(
    ApiRequest,
    method=st.sampled_from(("GET", "POST")),
    path=st.sampled_from(PATHS),
    status=st.sampled_from((200, 204, 404, 500)),
    duration_us=st.integers(0, 10_000_000),
    request_bytes=st.integers(0, 5_000),
    response_bytes=st.integers(0, 50_000),
    feature=st.sampled_from((None, "pos_transaction", "forum")),
    session=st.sampled_from((None, *SESSIONS)),
    user=st.sampled_from((None, "22" * 8, "33" * 8)),
    browser=st.sampled_from((None, "Chrome")),
)
features = st.builds(
    FeatureUsage,
    feature=st.sampled_from(("pos_transaction", "theme", "exchange")),
    session=st.sampled_from((None, *SESSIONS)),
    user=st.sampled_from((None, "33" * 8, "44" * 8)),
    metadata=st.sampled_from(({}, {"status": "completed", "success": True}, {"note": "[REDACTED]"})),
)
failures = st.builds(
    ErrorEvent,
    category=st.sampled_from(("database", "network")),
    name=st.sampled_from(("OperationalError", "TimeoutError")),
    message=st.sampled_from(("it broke", "it broke again", "")),
    method=st.sampled_from((None, "GET", "POST")),
    status=st.sampled_from((None, 500, 502)),
    user=st.sampled_from((None, "22" * 8)),
    stack=st.sampled_from(("E: it broke\nshop.pos:sell:12", "E: it broke\nshop.crypto:withdraw:7")),
    path=st.sampled_from((None, *PATHS)),
    inferred=st.booleans(),
)
operations = st.builds(
    Performance,
    metric=st.just("transaction"),
    name=st.just("checkout"),
    duration_us=st.integers(0, 1_000_000),
    success=st.booleans(),
)
durations = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=20)


def queries_of(durations: list[int], slow_us: int = 200_000) -> Performance:
    """Return what the process writes down for these durations."""
    return Performance(
        metric="database_query",
        name="SELECT orders",
        duration_us=max(durations),
        count=len(durations),
        total_us=sum(durations),
        buckets=dict(Counter(map(bucket_of, durations))),
        slow=sum(each >= slow_us for each in durations),
    )


queries = st.builds(queries_of, durations)
moments = st.one_of(
    st.integers(NOON - 3 * IDLE_MS, NOON + 3 * IDLE_MS),
    st.integers(-40, 40).map(lambda day: NOON + day * MS_PER_DAY),
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Stored]:
    pairs = draw(
        st.lists(st.tuples(moments, st.one_of(requests, features, failures, operations, queries)), max_size=30)
    )
    return [Stored(f"{number:032x}", at, event) for number, (at, event) in enumerate(pairs)]


@settings(max_examples=40, deadline=None)
@given(events=arrivals(), data=st.data())
def test_any_split_and_order_of_the_events_gives_the_same_rows(
    store: Store, events: list[Stored], data: st.DataObject
) -> None:
    """However the same events are cut into drains and whatever their order, the rows are the same."""
    at_once = store([events])
    shuffled = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(events)))
    assert store([shuffled[:cut], shuffled[cut:]]) == at_once


@settings(max_examples=30, deadline=None)
@given(events=arrivals(), cut=st.integers(0, 30))
def test_a_rebuild_from_the_events_gives_the_same_rows(
    store: Store, rollup_engine: Engine, events: list[Stored], cut: int
) -> None:
    """What the drains made bit by bit is what the stored events alone make at once."""
    rows = store([events[:cut], events[cut:]])
    with writing(rollup_engine) as connection:
        assert rebuild(connection, INSTALL_ID, 1) == len(events)
    assert rows_of(rollup_engine) == rows


@settings(max_examples=20, deadline=None)
@given(events=arrivals())
def test_an_event_that_arrives_twice_changes_nothing(store: Store, events: list[Stored]) -> None:
    """Storing the same events again, in the same or a later drain, counts none of them a second time."""
    once = store([events])
    assert store([events, events, events[:5]]) == once


@settings(max_examples=30, deadline=None)
@given(events=arrivals())
def test_rows_equal_a_plain_count(store: Store, events: list[Stored]) -> None:
    """Features, requests by class, bytes and latencies equal what a plain loop over the events counts."""
    rows = store([events])
    seen = [(one.at, one.event) for one in events if isinstance(one.event, ApiRequest)]
    classes = Counter((date_of(at), f"{request.status // 100}xx") for at, request in seen)
    assert {(row[1], row[3]): row[4] for row in rows["telemetry_aggregates"] if row[2] == "requests"} == classes
    assert sum(row[4] for row in rows["telemetry_aggregates"] if row[2] == "bytes_out") == sum(
        request.response_bytes for _, request in seen
    )
    used = Counter(
        one.event.feature
        for one in events
        if isinstance(one.event, ApiRequest | FeatureUsage) and one.event.feature is not None
    )
    assert {row[1]: row[2] for row in rows["telemetry_features"]} == used
    measured = Counter((hour_of(at), bucket_of(request.duration_us or 0)) for at, request in seen)
    histograms: Counter[tuple[int, int]] = Counter()
    for row in rows["telemetry_performance"]:
        if row[2] == "api_request":
            histograms.update({(row[1], bucket): n for bucket, n in read_histogram(row[9]).items()})
    assert histograms == measured


@settings(max_examples=40, deadline=None)
@given(durations=durations, cuts=st.sets(st.integers(1, 19)))
def test_queries_counted_together_give_the_rows_of_queries_counted_apart(
    store: Store, durations: list[int], cuts: set[int]
) -> None:
    """However the queries of a process are cut into records, the rows of performance and counters are the same."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(durations)), len(durations)]
    parts = [durations[start:end] for start, end in pairwise(edges)]
    tables = ("telemetry_performance", "telemetry_aggregates")
    together = store([stored((NOON, queries_of(durations)))])
    apart = store([stored(*((NOON, queries_of(part)) for part in parts))])
    assert [apart[table] for table in tables] == [together[table] for table in tables]


def test_slow_requests_and_failed_transactions_are_series_of_their_own(store: Store) -> None:
    """A request of a second or more is also a slow request; a failed transaction does not spoil the latency of the others."""
    rows = store(
        [
            stored(
                (NOON, request(duration_us=999_999)),
                (NOON, request(duration_us=1_000_000, database_us=900, database_queries=3)),
                (NOON, Performance(metric="transaction", name="checkout", duration_us=5)),
                (
                    NOON,
                    Performance(metric="transaction", name="checkout", duration_us=7, success=False, error="payment"),
                ),
            )
        ]
    )
    series = {row[2]: (row[4], row[6], row[7]) for row in rows["telemetry_performance"]}
    assert series == {
        "api_request": ("/", 2, 1_999_999),
        "slow_request": ("/", 1, 1_000_000),
        "transaction": ("checkout", 1, 5),
        "failed_transaction": ("checkout", 1, 7),
    }
    assert series.keys() <= METRICS
    counted = {(row[2], row[3]): row[4] for row in rows["telemetry_aggregates"]}
    assert counted["slow_request", "/"] == 1
    assert counted["failed_transaction", "checkout:payment"] == counted["transaction", "checkout"] == 1
    assert (counted["database_us", ""], counted["database_queries", ""]) == (900, 3)
    assert {name for name, _ in counted} <= COUNTER_NAMES


def stored(*events: tuple[int, Event]) -> list[Stored]:
    return [Stored(f"{number:032x}", at, event) for number, (at, event) in enumerate(events)]


def request(session: str | None = None, **changes: object) -> ApiRequest:
    return ApiRequest(**{"method": "GET", "path": "/", "status": 200, "duration_us": 5, "session": session, **changes})  # type: ignore[arg-type]


def test_sessions_end_after_thirty_idle_minutes(store: Store) -> None:
    """Requests less than 30 minutes apart are one session, 30 minutes or more begin another."""
    hash_ = SESSIONS[0]
    rows = store(
        [
            stored(
                (NOON, request(hash_)),
                (NOON + IDLE_MS - 1, request(hash_)),
                (NOON + 2 * IDLE_MS - 1, request(hash_)),
            )
        ]
    )["telemetry_sessions"]
    assert sorted((row[2] - NOON, row[5], row[6]) for row in rows) == [(0, 1_799, 2), (2 * IDLE_MS - 1, 0, 1)]


def test_a_late_request_joins_two_sessions_into_one(store: Store) -> None:
    """A request that arrives late and lies between two sessions makes them one."""
    hash_ = SESSIONS[0]
    first, last = (NOON, request(hash_)), (NOON + IDLE_MS + 60_000, request(hash_))
    between = (NOON + IDLE_MS // 2, request(hash_))
    one, two, three = stored(first, last, between)
    rows = store([[one, two], [three]])["telemetry_sessions"]
    assert [(row[2], row[4], row[6]) for row in rows] == [(NOON, NOON + IDLE_MS + 60_000, 3)]


def test_errors_are_told_apart_by_frame_and_template_and_counted(store: Store) -> None:
    """Failures with the same class, innermost frame and template are one row; the first message stays."""
    error = ErrorEvent(category="database", name="OperationalError", message="a", stack="x\nshop:f:1", path="/a")
    other = ErrorEvent(category="database", name="OperationalError", message="b", stack="x\nshop:f:2", path="/a")
    again = ErrorEvent(category="database", name="OperationalError", message="c", stack="y\nshop:f:1", path="/a")
    rows = store([stored((NOON, error), (NOON + 1, other), (NOON + 2, again))])["telemetry_errors"]
    assert sorted((row[4], row[9], row[10] - NOON, row[11] - NOON) for row in rows) == [("a", 2, 0, 2), ("b", 1, 1, 1)]


def test_a_guessed_template_is_no_part_of_a_fingerprint(store: Store) -> None:
    """Who tries out guesses against a fingerprint learns nothing about a template that is kept back as rare."""
    failed = ErrorEvent(category="database", name="OperationalError", stack="x\nshop:f:1")
    maria, pedro = (msgspec.structs.replace(failed, path=f"/guests/{one}", inferred=True) for one in ("maria", "pedro"))
    told = msgspec.structs.replace(failed, path="/guests/:id")
    rows = store([stored((NOON + 1, pedro), (NOON, maria), (NOON, told))])["telemetry_errors"]
    assert len({fingerprint(error) for error in (maria, pedro, failed)}) == 1
    assert sorted((row[6], row[9]) for row in rows) == [("/guests/:id", 1), ("/guests/maria", 2)]


def test_only_declared_counters_are_counted(store: Store) -> None:
    """Every counter that a rollup writes is in the closed list of counters."""
    events = stored(
        (NOON, request(SESSIONS[0], country="DE", browser="Chrome", os="Linux", feature="pos", request_bytes=1)),
        (NOON, FeatureUsage(feature="theme", metadata={"theme": "midnight", "success": True, "note": "[REDACTED]"})),
        (NOON, ErrorEvent(category="other", name="E")),
    )
    rows = store([events])["telemetry_aggregates"]
    assert {row[2] for row in rows} <= COUNTER_NAMES
    assert {row[3] for row in rows if row[2] == "choice"} == {"theme.theme=midnight", "theme.success=true"}
    assert {row[0] for row in rows} == {INSTALL_ID}


def test_streams_and_clients_that_left_are_counted(store: Store) -> None:
    """What was streamed and who left is counted by its own counter; both may be true of one request."""
    events = stored(
        (NOON, request()),
        (NOON, request(streamed_us=0)),
        (NOON, request(status=499, disconnected=True)),
        (NOON, request(streamed_us=7, disconnected=True)),
    )
    rows = store([events])["telemetry_aggregates"]
    assert sorted(row[3:5] for row in rows if row[2] == "delivery") == [("disconnected", 2), ("streamed", 2)]


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 1_000, 123_456, 10**9])
def test_buckets_are_exact_to_one_sixty_fourth(value: int) -> None:
    """The middle of a value's bucket is at most 1/64 of the value away."""
    assert abs(value_of(bucket_of(value)) - value) * 64 <= value
