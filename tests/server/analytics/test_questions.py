"""Each product question, on a fleet small enough to count by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine
from tests.server.analytics.fleet import NOW, ONE, TWO, aggregate, failure, route, store

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.server.analytics.errors import failures
from calos_telemetry.server.analytics.features import PopularFeature, popular
from calos_telemetry.server.analytics.overview import Overview, overview
from calos_telemetry.server.analytics.performance import slow_routes
from calos_telemetry.server.analytics.period import Period
from calos_telemetry.server.analytics.traffic import per_day, per_hour
from calos_telemetry.store.database import open_sqlite
from calos_telemetry.store.migrate import TELEMETRY

WEEK = Period(days=7, now=NOW)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an empty telemetry database."""
    engine = open_sqlite(tmp_path / "telemetry.db", TELEMETRY)
    yield engine
    engine.dispose()


@pytest.fixture
def asked(engine: Engine) -> Iterator[Connection]:
    """Return a connection to the database of the fleet."""
    with engine.connect() as connection:
        yield connection


def test_a_period_ends_today_and_holds_whole_days() -> None:
    """Seven days are today and the six before it, from midnight UTC."""
    assert (WEEK.since, WEEK.until) == ("2026-11-19", "2026-11-25")
    assert WEEK.dates()[0] == "2026-11-19"
    assert len(WEEK.dates()) == 7
    assert WEEK.since_ms % MS_PER_DAY == 0


def test_popular_features_count_uses_and_installs_within_the_period(engine: Engine, asked: Connection) -> None:
    """Uses add up over days and installs; what lies outside the period and other counters do not count."""
    rows = [
        aggregate(ONE, "2026-11-24", "feature", "pos", 5),
        aggregate(ONE, "2026-11-25", "feature", "pos", 6),
        aggregate(TWO, "2026-11-25", "feature", "pos", 1),
        aggregate(TWO, "2026-11-25", "feature", "forum", 20),
        aggregate(ONE, "2026-11-18", "feature", "old", 99),
        aggregate(ONE, "2026-11-26", "feature", "tomorrow", 99),
        aggregate(ONE, "2026-11-25", "style", "rest", 99),
    ]
    store(engine, aggregates=rows)
    assert popular(asked, WEEK) == [PopularFeature("forum", 1, 20), PopularFeature("pos", 2, 12)]
    assert popular(asked, WEEK, limit=1) == [PopularFeature("forum", 1, 20)]


def test_slow_routes_merge_installs_and_leave_out_what_says_nothing(engine: Engine, asked: Connection) -> None:
    """The 95th percentile is that of all requests together; rare, untimed, old and other series are left out."""
    rows = [
        route(ONE, "2026-11-24", "/slow/:id", [100] * 10),
        route(TWO, "2026-11-25", "/slow/:id", [100] * 8 + [2_000] * 2),
        route(ONE, "2026-11-25", "/fast", [5] * 20),
        route(ONE, "2026-11-25", "/rare", [9_000] * 4),
        route(ONE, "2026-11-25", "/untimed", [0] * 50),
        route(ONE, "2026-11-18", "/old", [9_000] * 50),
        route(ONE, "2026-11-25", "query", [9_000] * 50, metric="database_query", method=""),
    ]
    store(engine, performance=rows)
    slow, fast = slow_routes(asked, WEEK)
    assert (slow.path, slow.method, slow.count) == ("/slow/:id", "GET", 20)
    assert slow.average_ms == pytest.approx(290)
    assert slow.p95_ms == pytest.approx(2_000, rel=0.016)
    assert slow.total_ms == pytest.approx(5_800)
    assert (fast.path, fast.count) == ("/fast", 20)


def test_failures_are_one_line_each_with_their_installs(engine: Engine, asked: Connection) -> None:
    """A failure of two installs is one line; the widespread one comes first, however rare."""
    rows = [
        failure(ONE, "a", 3),
        failure(TWO, "a", 4, first_seen_at=NOW - 9_000, last_seen_at=NOW),
        failure(ONE, "b", 500, name="Other"),
        failure(ONE, "c", 900, last_seen_at=NOW - 20 * MS_PER_DAY, first_seen_at=0),
    ]
    store(engine, errors=rows)
    first, second = failures(asked, WEEK)
    assert (first.installs, first.occurrences, first.first_seen_at, first.last_seen_at) == (2, 7, NOW - 9_000, NOW)
    assert (second.name, second.installs, second.occurrences) == ("Other", 1, 500)


def test_traffic_has_every_day_and_every_hour(engine: Engine, asked: Connection) -> None:
    """Days and hours without requests are there as zeros, and classes add up over installs."""
    rows = [
        aggregate(ONE, "2026-11-25", "requests", "2xx", 10),
        aggregate(TWO, "2026-11-25", "requests", "2xx", 5),
        aggregate(TWO, "2026-11-25", "requests", "5xx", 2),
        aggregate(ONE, "2026-11-25", "hour", "08", 9),
        aggregate(ONE, "2026-11-24", "hour", "08", 1),
    ]
    store(engine, aggregates=rows)
    days = per_day(asked, WEEK)
    assert [day.requests for day in days] == [0, 0, 0, 0, 0, 0, 17]
    assert days[-1].classes == {"2xx": 15, "5xx": 2}
    hours = {hour.hour: hour.requests for hour in per_hour(asked, WEEK)}
    assert (len(hours), hours["08"], hours["09"]) == (24, 10, 0)


def test_the_overview_counts_the_fleet(engine: Engine, asked: Connection) -> None:
    """Installs, requests, the share of server errors and uses, in one query; an empty fleet is all zeros."""
    assert overview(asked, WEEK) == Overview(0, 0, 0, 0)
    assert overview(asked, WEEK).server_error_share == 0
    asked.rollback()
    rows = [
        aggregate(ONE, "2026-11-25", "requests", "2xx", 97),
        aggregate(TWO, "2026-11-25", "requests", "5xx", 3),
        aggregate(TWO, "2026-11-25", "feature", "pos", 4),
        aggregate(TWO, "2026-11-25", "bytes_out", "", 10_000),
    ]
    store(engine, aggregates=rows)
    total = overview(asked, WEEK)
    assert total == Overview(installs=2, requests=100, server_errors=3, feature_uses=4)
    assert total.server_error_share == 0.03
