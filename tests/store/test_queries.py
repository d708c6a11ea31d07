"""The documented questions: verbatim on PostgreSQL, and the same answers from Python on each engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, text
from tests.conftest import ENGINES, Open

from calos_telemetry.clock import MS_PER_DAY, date_of, now_ms
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.contract.histogram import bucket_of, percentile
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.migrate import INSTALL as INSTALL_TABLES
from calos_telemetry.store.migrate import TELEMETRY
from calos_telemetry.store.queries import daily, error_trend, popular_features, telemetry_summary
from calos_telemetry.store.tables import aggregates, event_rows, performance, sessions

INSTALL = "install_123"
HASH = "0123456789abcdef"

Seen = list[tuple[int, Event]]


def store(engine: Engine, seen: Seen, install_id: str = INSTALL, first: int = 0) -> None:
    batch = [Stored(f"{first + n:032x}", at, event) for n, (at, event) in enumerate(seen)]
    with writing(engine) as connection:
        store_events(connection, install_id, batch)


def request(duration_us: int, status: int = 200, feature: str | None = None, session: str | None = None) -> ApiRequest:
    return ApiRequest(method="GET", path="/a", status=status, duration_us=duration_us, feature=feature, session=session)


@pytest.fixture
def filled(install_engine: Engine) -> Engine:
    """Return a database with events of today, of six days ago, of seven days ago, and of another install."""
    now = now_ms()
    store(
        install_engine,
        [
            (now, request(10_000, feature="pos")),
            (now, request(20_000, status=500, feature="pos")),
            (now, FeatureUsage(feature="theme")),
            (now - 6 * MS_PER_DAY, request(60_000, feature="pos")),
            (now - 6 * MS_PER_DAY, ErrorEvent(category="database", name="OperationalError")),
            (now - 7 * MS_PER_DAY, request(900_000, feature="pos")),
            (now - 40 * MS_PER_DAY, ErrorEvent(category="network", name="TimeoutError")),
        ],
    )
    store(install_engine, [(now, FeatureUsage(feature="pos"))], "install_456", first=100)
    return install_engine


SUMMARY = [
    {"feature_name": "pos", "usage_count": 3, "avg_response_time_ms": 30.0, "total_errors": 1, "total_requests": 3},
    {"feature_name": "theme", "usage_count": 1, "avg_response_time_ms": 30.0, "total_errors": 1, "total_requests": 3},
]
POPULAR = [
    {"feature_name": "pos", "total_installs": 2, "total_usage": 5},
    {"feature_name": "theme", "total_installs": 1, "total_usage": 1},
]


def test_python_answers_on_each_engine(filled: Engine) -> None:
    """Seven days are today and the six before it; every number is the one that a person would count."""
    with filled.connect() as connection:
        assert telemetry_summary(connection, INSTALL, 7, now_ms()) == SUMMARY
        assert telemetry_summary(connection, "nobody", 7, now_ms()) == []
        assert popular_features(connection, 10) == POPULAR
        assert popular_features(connection, 1) == POPULAR[:1]
        assert error_trend(connection, 30, now_ms()) == [
            {
                "date": date_of(now_ms() - 6 * MS_PER_DAY),
                "error_type": "database",
                "distinct_errors": 1,
                "occurrences": 1,
            }
        ]


@pytest.mark.parametrize("install_engine", ["postgresql"], indirect=True)
def test_the_documented_calls_work_verbatim(filled: Engine) -> None:
    """Exactly the statements of the documentation, in ``psql`` or any client, answer with these columns."""
    with filled.connect() as connection:
        summary = connection.execute(text("SELECT * FROM get_telemetry_summary('install_123', 7)")).mappings().all()
        popular = connection.execute(text("SELECT * FROM get_popular_features(10)")).mappings().all()
        trend = connection.execute(text(documented_trend())).all()
    assert [dict(row) for row in summary] == SUMMARY
    assert [dict(row) for row in popular] == POPULAR
    assert [(row.error_type, row.distinct_errors, row.occurrences) for row in trend] == [("database", 1, 1)]


def documented_trend() -> str:
    """Return the last statement of docs/postgresql.md."""
    return (
        (Path(__file__).parents[2] / "docs/postgresql.md")
        .read_text()
        .split("```sql\n")[-1]
        .split("```")[0]
        .split("\n\n")[1]
    )


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("install_engine", ["postgresql"], indirect=True)
def test_the_documented_trend_has_days_of_utc(filled: Engine, zone: str) -> None:
    """At any moment it is another day in one of the two zones; whoever lives there sees the days of the command line."""
    with filled.connect() as connection:
        connection.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        days = [str(row.date) for row in connection.execute(text(documented_trend()))]
        assert days == [row["date"] for row in error_trend(connection, 30, now_ms())] != []


@pytest.mark.parametrize("install_engine", ["sqlite"], indirect=True)
def test_the_documented_statements_for_sqlite3_work(filled: Engine) -> None:
    """Each statement of docs/sqlite.md is understood, and the trend is that of PostgreSQL."""
    written = (Path(__file__).parents[2] / "docs/sqlite.md").read_text().split("```sql\n")[1].split("```")[0]
    statements = [one.strip() for one in re.sub(r"--.*", "", written).split(";") if one.strip()]
    with filled.connect() as connection:
        answers = [connection.execute(text(one)).all() for one in statements]
    assert len(answers) == 4
    assert all(answers)
    assert [(row.error_type, row.distinct_errors, row.occurrences) for row in answers[2]] == [("database", 1, 1)]


def test_cleaning_up_in_sql_says_what_went(open_on: Open) -> None:
    """Rows of more than 90 days ago go and are counted, the others stay; what is kept for ever stays too."""
    engine = open_on("postgresql")
    now = now_ms()
    old, new = now - 91 * MS_PER_DAY, now - 89 * MS_PER_DAY
    store(
        engine, [(old, request(5, session=HASH)), (old, FeatureUsage(feature="pos")), (new, request(5, session=HASH))]
    )
    with writing(engine) as connection:
        call = text("SELECT * FROM cleanup_telemetry_data(90)")
        assert connection.execute(call).mappings().one() == {
            "events_deleted": 2,
            "performance_deleted": 1,
            "sessions_deleted": 1,
        }
        assert connection.execute(call).one() == (0, 0, 0)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM telemetry_events")) == 1
        assert connection.scalar(text("SELECT count(*) FROM telemetry_event_parts")) == 1
        assert popular_features(connection) == [{"feature_name": "pos", "total_installs": 1, "total_usage": 1}]


def test_cleaning_up_everything_is_refused(open_on: Open) -> None:
    """A slip of the finger (0 or less) deletes nothing."""
    engine = open_on("postgresql")
    with engine.connect() as connection, pytest.raises(Exception, match="days is 0: give 1 or more"):
        connection.execute(text("SELECT * FROM cleanup_telemetry_data(0)"))


@pytest.mark.parametrize("days", [0, -1, 10**6])
def test_senseless_windows_are_refused(install_engine: Engine, days: int) -> None:
    """The sentence says what to give."""
    with install_engine.connect() as connection, pytest.raises(SettingsError, match="give a whole number from 1 to"):
        telemetry_summary(connection, INSTALL, days, now_ms())


NOON = int(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()) * 1_000


@pytest.fixture(scope="module", params=ENGINES)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    engine = open_database(url, tmp_path_factory.mktemp("daily") / "t.db", TELEMETRY, INSTALL_TABLES, schema="daily")
    yield engine
    engine.dispose()


@settings(max_examples=25, deadline=None)
@given(durations=st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_daily_percentiles_equal_those_of_python(one: Engine, durations: list[int]) -> None:
    """The view's p50, p95 and p99 of a day are the nearest ranks that Python reads from the same histogram."""
    with writing(one) as connection:
        for table in (event_rows, performance, sessions, aggregates):
            connection.execute(delete(table))
    store(one, [(NOON + n % 3, request(duration)) for n, duration in enumerate(durations)])
    histogram: dict[int, int] = {}
    for duration in durations:
        histogram[bucket_of(duration)] = histogram.get(bucket_of(duration), 0) + 1
    with one.connect() as connection:
        (day,) = daily(connection, 1, NOON)
    shown = [day["p50_ms"], day["p95_ms"], day["p99_ms"]]
    assert shown == [(percentile(histogram, share) or 0) / 1000 for share in (0.50, 0.95, 0.99)]


def test_a_day_has_its_totals_and_sessions(install_engine: Engine) -> None:
    """Requests by status class, failures, uses and session figures of each day, and nothing of the next."""
    store(
        install_engine,
        [
            (NOON, request(1_000, session=HASH)),
            (NOON + 60_000, request(3_000, 404, session=HASH)),
            (NOON, request(2_000, 503, session="f" * 16, feature="pos")),
            (NOON, ErrorEvent(category="api", name="E")),
            (NOON + MS_PER_DAY, FeatureUsage(feature="pos")),
        ],
    )
    with install_engine.connect() as connection:
        tomorrow, today = daily(connection, 2, NOON + MS_PER_DAY)
    assert today == {
        "install_id": INSTALL,
        "date": "2026-11-25",
        "requests": 3,
        "requests_2xx": 1,
        "requests_3xx": 0,
        "requests_4xx": 1,
        "requests_5xx": 1,
        "errors": 1,
        "feature_uses": 1,
        "p50_ms": 2,
        "p95_ms": 2.976,
        "p99_ms": 2.976,
        "sessions": 2,
        "session_seconds": 30,
    }
    assert (tomorrow["date"], tomorrow["requests"], tomorrow["p50_ms"], tomorrow["sessions"]) == (
        "2026-11-26",
        0,
        None,
        0,
    )
