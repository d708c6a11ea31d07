"""Small counts stay at home, and the totals at the vendor are right all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from tests.conftest import ENGINES, Open, empty

from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event
from calos_telemetry.contract.histogram import Histogram, merge, unpack
from calos_telemetry.contract.report import Books, Report
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, PerformanceRow
from calos_telemetry.sdk.record.storing import last_revision, store_events
from calos_telemetry.sdk.report.build import build_report
from calos_telemetry.sdk.report.rare import RARE
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.sdk.rollup.performance import read_histogram
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import sightings
from calos_telemetry.store.tables import aggregates, performance

INSTALL_ID = "ab" * 16
NOON = 1_795_608_000_000
DAY = 86_400_000
BOOKS = Books(recorded=0, stored=0, dropped={}, pending=0)
GUESSED = "/shops/marias-bakery"
USERS = ("11" * 8, "22" * 8, "33" * 8)
Row = PerformanceRow | ErrorRow | AggregateRow


def request(path: str = GUESSED, *, user: str | None = None, inferred: bool = True, **more: Any) -> ApiRequest:
    """Return a request whose template was guessed."""
    fields: dict[str, Any] = {"method": "GET", "status": 200, "duration_us": 100} | more
    return ApiRequest(path=path, user=user, inferred=inferred, **fields)


def failure(message: str = "no seat for Maria", *, user: str | None = None, path: str | None = None) -> ErrorEvent:
    """Return a failure; its message is no part of its fingerprint."""
    stack = f"SeatError: {message}\nshop.seats:find:7"
    return ErrorEvent(
        category="other",
        name="SeatError",
        message=message,
        stack=stack,
        user=user,
        path=path,
        inferred=path is not None,
    )


class Side:
    """An install, and a vendor that keeps the row with the higher revision."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.acknowledged = 0
        self.sent: list[Report] = []
        self.vendor: dict[tuple[Any, ...], Row] = {}
        self._events = 0

    def store(self, *happened: Event, at: int = NOON) -> None:
        """Store one drain's events."""
        arrived = []
        for one in happened:
            self._events += 1
            arrived.append(Stored(f"{self._events:032x}", at, one))
        with writing(self.engine) as connection:
            store_events(connection, INSTALL_ID, arrived)

    def report(self, **limits: int) -> Report | None:
        """Send the next report and let the vendor take it in."""
        with writing(self.engine) as connection:
            report = build_report(
                connection, INSTALL_ID, number=1, previous="0" * 64, from_revision=self.acknowledged, books=BOOKS,
                sealed_at=NOON, **limits,
            )  # fmt: skip
        if report is not None:
            self.sent.append(report)
            self.acknowledged = report.to_revision
            rows: list[Row] = [*report.performance, *report.errors, *report.aggregates]
            for row in rows:
                self._take(row, report)
        return report

    def _take(self, row: Row, report: Report) -> None:
        assert row.revision <= report.to_revision
        if isinstance(row, PerformanceRow):
            key: tuple[Any, ...] = (row.day, row.metric, row.method, row.path, row.status)
        else:
            key = (row.fingerprint,) if isinstance(row, ErrorRow) else (row.date, row.counter, row.key)
        known = self.vendor.get(key)
        if known is None or row.revision > known.revision:
            self.vendor[key] = row

    def all_reported(self) -> None:
        """Send reports until nothing is new."""
        while self.report() is not None:
            pass

    def seen(self, kind: type[Row], name: str) -> dict[Any, Any]:
        """Return what the vendor has of one kind of row: one field by path, fingerprint or key."""
        field = {PerformanceRow: "path", ErrorRow: "path", AggregateRow: "key"}[kind]
        return {getattr(row, field): getattr(row, name) for row in self.vendor.values() if isinstance(row, kind)}


@pytest.fixture(scope="session", params=ENGINES)
def opened(request: pytest.FixtureRequest, open_lasting: Open) -> Engine:
    """Open one database for all examples, on each engine."""
    return open_lasting(request.param)


@pytest.fixture(scope="session")
def make(opened: Engine) -> Callable[[], Side]:
    """Return what makes an empty install."""

    def make() -> Side:
        empty(opened)
        return Side(opened)

    return make


@pytest.fixture
def side(make: Callable[[], Side]) -> Side:
    """Return an empty install."""
    return make()


def test_a_guessed_template_that_few_have_seen_stays(side: Side) -> None:
    """Its requests are reported under (rare); the template itself is in no byte of the report."""
    side.store(request(), request())
    side.all_reported()
    assert side.seen(PerformanceRow, "count") == {RARE: 2}
    assert GUESSED not in str(side.sent)


def test_a_routers_template_leaves_at_once(side: Side) -> None:
    """What the framework's own router says is the developer's word and nobody's name."""
    side.store(request("/shops/:id", inferred=False))
    side.all_reported()
    assert side.seen(PerformanceRow, "count") == {"/shops/:id": 1}


def test_when_it_is_common_it_appears_whole(side: Side) -> None:
    """With the third sighting the template arrives with all three, also those of days before, and (rare) becomes zero."""
    side.store(request(), request(), at=NOON - 2 * DAY)
    side.all_reported()
    side.store(request(status=500))
    side.all_reported()
    counts = Counter[str]()
    for row in side.vendor.values():
        if isinstance(row, PerformanceRow):
            counts[row.path] += row.count
    assert counts == {GUESSED: 3, RARE: 0}


def test_others_stay_rare_when_one_becomes_common(side: Side) -> None:
    """(rare) is added up anew from those that are still rare, whether they changed or not."""
    side.store(request(), request(), request("/shops/annas-corner"))
    side.all_reported()
    side.store(request())
    side.all_reported()
    assert side.seen(PerformanceRow, "count") == {GUESSED: 3, RARE: 1}
    assert set(unpack(side.seen(PerformanceRow, "histogram")[RARE]).values()) == {1}


def test_common_in_one_drain_leaves_no_trace_of_rarity(side: Side) -> None:
    """A template that is common when it is first stored needs no row (rare)."""
    side.store(request(), request(), request())
    side.all_reported()
    assert side.seen(PerformanceRow, "count") == {GUESSED: 3}


@pytest.mark.parametrize(
    ("users", "leaves"),
    [
        ((None, None, None), True),
        ((USERS[0],) * 20, False),
        ((USERS[0], USERS[1], USERS[0], USERS[1]), False),
        (USERS, True),
        ((USERS[0], None, None, None), False),
    ],
)
def test_where_users_are_known_they_count(side: Side, users: Sequence[str | None], leaves: bool) -> None:
    """Twenty requests of one user are one user's own; three users make a template common."""
    for user in users:
        side.store(request(user=user))
    side.all_reported()
    assert (GUESSED in side.seen(PerformanceRow, "count")) == leaves
    with side.engine.connect() as connection:
        (kept,) = connection.scalars(select(sightings.c.users))
    assert len(kept.split()) == (0 if leaves else len(set(users) - {None}))


def test_a_message_that_few_have_seen_stays(side: Side) -> None:
    """The failure is reported with type, place and count; its message neither as such nor in the stack's first line."""
    side.store(failure(), failure())
    side.all_reported()
    (row,) = [row for row in side.vendor.values() if isinstance(row, ErrorRow)]
    assert (row.message, row.stack, row.occurrence_count) == ("", "SeatError\nshop.seats:find:7", 2)
    side.store(failure())
    side.all_reported()
    (row,) = [row for row in side.vendor.values() if isinstance(row, ErrorRow)]
    assert (row.message, row.occurrence_count) == ("no seat for Maria", 3)
    assert row.stack == "SeatError: no seat for Maria\nshop.seats:find:7"


def test_other_messages_of_the_same_failure_do_not_count(side: Side) -> None:
    """The row holds the first message; a hundred failures that say something else do not make that one common."""
    side.store(failure("no seat for Maria"), *(failure(f"no seat for guest {number}") for number in range(100)))
    side.all_reported()
    assert "Maria" not in str(side.sent)
    assert "guest" not in str(side.sent)


def test_a_failures_template_is_hidden_too(side: Side) -> None:
    """A failure on a rare template, reported before any request of it, says (rare)."""
    side.store(failure(path=GUESSED))
    side.all_reported()
    assert side.seen(ErrorRow, "occurrence_count") == {RARE: 1}
    side.store(request(), request(), request())
    side.all_reported()
    assert side.seen(ErrorRow, "occurrence_count") == {GUESSED: 1}


def test_counters_by_template(side: Side) -> None:
    """Slow requests are counted by template: a rare one under (rare), later under its own name."""
    side.store(request(duration_us=2_000_000), request())
    side.all_reported()
    slow = {key: value for key, value in side.seen(AggregateRow, "value").items() if key in {GUESSED, RARE}}
    assert slow == {RARE: 1}
    side.store(request())
    side.all_reported()
    slow = {key: value for key, value in side.seen(AggregateRow, "value").items() if key in {GUESSED, RARE}}
    assert slow == {RARE: 0, GUESSED: 1}


def test_hashes_of_users_are_forgotten(side: Side) -> None:
    """Who has seen a rare text is known for 90 days at most."""
    side.store(request(user=USERS[0]))
    side.store(request("/other", inferred=False), at=NOON + 91 * DAY)
    with side.engine.connect() as connection:
        assert connection.execute(select(sightings.c.users, sightings.c.users_known)).all() == [("", 1)]


PATHS = (GUESSED, "/shops/annas-corner", "/shops/peters-garage")
requests = st.builds(
    request,
    st.sampled_from(PATHS),
    user=st.sampled_from((None, *USERS)),
    status=st.sampled_from((200, 500)),
    duration_us=st.sampled_from((100, 5_000, 2_000_000)),
)
drains = st.lists(
    st.tuples(st.lists(requests, min_size=1, max_size=4), st.sampled_from((NOON - DAY, NOON)), st.booleans()),
    max_size=8,
)


@given(drains, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_vendor_has_the_exact_totals_and_no_rare_name(
    make: Callable[[], Side], drained: list[tuple[list[ApiRequest], int, bool]], max_rows: int
) -> None:
    """Whatever arrives in whatever drains, reports and pieces of reports: totals are exact, and few's texts are hidden."""
    side = make()
    seen: dict[str, tuple[int, set[str], bool]] = {}
    may_leave: set[str] = set()  # once a text is nobody's own it stays so: what has left cannot be called back
    for happened, at, report in drained:
        side.store(*happened, at=at)
        for one in happened:
            times, users, known = seen.get(one.path, (0, set(), False))
            seen[one.path] = times + 1, users | ({one.user} if one.user else set()), known or one.user is not None
        may_leave |= {
            path for path, (times, users, known) in seen.items() if times >= 3 and (not known or len(users) >= 3)
        }
        if report:
            side.report(max_rows=max_rows)
            assert (set(PATHS) - may_leave).isdisjoint(side.seen(PerformanceRow, "count"))
    while side.report(max_rows=max_rows) is not None:
        pass
    assert reported_totals(side) == stored_totals(side)
    assert last_of(side) == side.acknowledged


def reported_totals(side: Side) -> tuple[int, int, Histogram, int]:
    """Return what the vendor adds up: requests, µs, histogram, slow requests."""
    rows = [row for row in side.vendor.values() if isinstance(row, PerformanceRow) and row.metric == "api_request"]
    histogram: Histogram = {}
    for row in rows:
        merge(histogram, unpack(row.histogram))
    slow = sum(
        row.value for row in side.vendor.values() if isinstance(row, AggregateRow) and row.counter == "slow_request"
    )
    return sum(row.count for row in rows), sum(row.total for row in rows), histogram, slow


def stored_totals(side: Side) -> tuple[int, int, Histogram, int]:
    """Return the same from the install's own tables."""
    requests = select(performance).where(performance.c.metric == "api_request")
    with side.engine.connect() as connection:
        rows = connection.execute(requests).mappings().all()
        slow = sum(connection.scalars(select(aggregates.c.value).where(aggregates.c.counter == "slow_request")))
    histogram: Histogram = {}
    for row in rows:
        merge(histogram, read_histogram(row["histogram"]))
    return sum(row["count"] for row in rows), sum(row["total"] for row in rows), histogram, slow


def last_of(side: Side) -> int:
    """Return the newest revision of any row."""
    with side.engine.connect() as connection:
        return last_revision(connection, INSTALL_ID)
