"""Every question of the start page has one text, and one answer: on SQLite, PostgreSQL, ClickHouse and two shards of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table
from tests import postgres
from tests.server.analytics import oracle
from tests.server.analytics.fleet import NOW, aggregate, failure, route
from tests.server.clickhouse_fixtures import fresh, started

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.server.analytics.errors import failures
from calos_telemetry.server.analytics.features import popular
from calos_telemetry.server.analytics.overview import overview
from calos_telemetry.server.analytics.performance import slow_routes
from calos_telemetry.server.analytics.period import Period
from calos_telemetry.server.analytics.traffic import HOURS, per_day, per_hour
from calos_telemetry.store import tables
from calos_telemetry.store.clickhouse import open_clickhouse
from calos_telemetry.store.database import open_sqlite, writing
from calos_telemetry.store.migrate import TELEMETRY
from calos_telemetry.store.postgres import open_postgres
from calos_telemetry.store.upserts import keep_newest

Rows = list[dict[str, Any]]
PERIODS = [Period(days=days, now=NOW) for days in (7, 30)]


@dataclass(frozen=True)
class Fleet:
    """An engine, and all rows that were ever written to it, in the order of writing."""

    engine: Engine
    written: Mapping[Table, Rows]

    def rows(self, table: Table) -> Sequence[Mapping[str, Any]]:
        """Return the rows that hold."""
        return oracle.newest(table, self.written[table])


def made_up() -> dict[Table, Rows]:
    """Return the rows of 12 installs over 40 days, some of them several times with other revisions, in any order."""
    chance = random.Random(7)  # noqa: S311 - the same fleet every time
    written: dict[Table, Rows] = {tables.aggregates: [], tables.performance: [], tables.errors: []}
    for number in range(12):
        install = f"{number:032x}"
        for age in range(-1, 40):
            day = date_of(NOW - age * MS_PER_DAY)
            written[tables.aggregates] += [
                aggregate(install, day, counter, key, chance.randint(0, 90))
                for counter, keys in (
                    ("requests", ("2xx", "4xx", "5xx")), ("feature", ("pos", "crm", "Straße")), ("hour", ("08", "23")),
                )
                for key in keys
                if chance.random() < 0.5
            ]  # fmt: skip
            if chance.random() < 0.5:
                path, method = chance.choice(["/a", "/b/:id", "/rare"]), chance.choice(["GET", "POST"])
                times = [int(chance.lognormvariate(3, 1.5)) for _ in range(chance.randint(1, 9))]
                metric = chance.choice(["api_request", "api_request", "database_query"])
                written[tables.performance].append(route(install, day, path, times, method=method, metric=metric))
        for fingerprint in "abcd":
            seen = NOW - chance.randint(0, 40) * MS_PER_DAY
            written[tables.errors].append(
                failure(install, fingerprint, chance.randint(1, 99), last_seen_at=seen, first_seen_at=seen - 5)
            )
    for rows in written.values():
        for row in chance.sample(rows, len(rows) // 3):
            counted = next(name for name in ("value", "count", "occurrence_count") if name in row)
            rows.append(row | {"revision": chance.choice([0, 2, 3]), counted: row[counted] + chance.randint(1, 50)})
        unique = {(row["revision"], *(row[column.name] for column in table.primary_key)): row for table in written
                  if written[table] is rows for row in rows}  # fmt: skip
        rows[:] = list(unique.values())
        chance.shuffle(rows)
    return written


Open = Callable[[Path], Iterator[Fleet]]


def on_sql(engine: Engine) -> Iterator[Fleet]:
    """Fill SQLite or PostgreSQL as the intake does."""
    written = made_up()
    with writing(engine) as connection:
        for table, rows in written.items():
            keep_newest(connection, table, rows)
    yield Fleet(engine, written)
    engine.dispose()


def on_sqlite(directory: Path) -> Iterator[Fleet]:
    """Fill a file."""
    yield from on_sql(open_sqlite(directory / "telemetry.db", TELEMETRY))


def on_postgresql(_directory: Path) -> Iterator[Fleet]:
    """Fill a schema."""
    binaries = postgres.bin_directory()
    if binaries is None:
        pytest.skip(postgres.NEEDS)
    with postgres.server(binaries) as url:
        yield from on_sql(open_postgres(url, TELEMETRY))


def on_clickhouse(_directory: Path, servers: int = 1) -> Iterator[Fleet]:
    """Fill ClickHouse with many small inserts, so that most revisions are in parts that were never merged."""
    for nodes in started(servers):
        clickhouse, written = open_clickhouse(fresh(nodes)), made_up()
        clickhouse.prepare()
        for table, rows in written.items():
            for number in range(7):
                clickhouse.insert(table, rows[number::7], f"{table.name}-{number}")
        yield Fleet(clickhouse.reader, written)
        clickhouse.close()


def on_two_shards(directory: Path) -> Iterator[Fleet]:
    """Fill a cluster."""
    yield from on_clickhouse(directory, servers=2)


ENGINES: dict[str, Open] = {
    "SQLite": on_sqlite,
    "PostgreSQL": on_postgresql,
    "ClickHouse": on_clickhouse,
    "ClickHouse on two shards": on_two_shards,
}


@pytest.fixture(scope="module", params=sorted(ENGINES))
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return the fleet on one of the engines."""
    yield from ENGINES[request.param](tmp_path_factory.mktemp("fleet"))


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: f"{period.days} days")
def test_the_questions_about_counts_have_one_answer(fleet: Fleet, period: Period) -> None:
    """Totals, features, days and hours are those that plain Python counts."""
    rows = fleet.rows(tables.aggregates)
    with fleet.engine.connect() as connection:
        assert overview(connection, period) == oracle.overview(rows, period)
        assert popular(connection, period) == oracle.popular(rows, period)
        assert popular(connection, period, limit=1) == oracle.popular(rows, period, limit=1)
        days, hours = per_day(connection, period), per_hour(connection, period)
    by_class = oracle.by_key(rows, period, "requests", "date", "key")
    assert {(day.date, name): n for day in days for name, n in day.classes.items()} == dict(by_class)
    by_hour = oracle.by_key(rows, period, "hour", "key")
    assert {hour.hour: hour.requests for hour in hours} == {hour: by_hour[hour,] for hour in HOURS}


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: f"{period.days} days")
def test_the_question_about_latencies_has_one_answer(fleet: Fleet, period: Period) -> None:
    """Percentiles of histograms that the database merged are those of histograms that Python merged."""
    with fleet.engine.connect() as connection:
        assert slow_routes(connection, period) == oracle.slow_routes(fleet.rows(tables.performance), period)


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: f"{period.days} days")
def test_the_question_about_failures_has_one_answer(fleet: Fleet, period: Period) -> None:
    """Each failure once, the most widespread first."""
    with fleet.engine.connect() as connection:
        assert failures(connection, period) == oracle.failures(fleet.rows(tables.errors), period)
        assert failures(connection, period, limit=2) == oracle.failures(fleet.rows(tables.errors), period, limit=2)


def test_an_empty_period_has_one_answer(fleet: Fleet) -> None:
    """Where nothing was reported there are zeros, not errors and not empty values."""
    long_ago = Period(days=1, now=NOW - 900 * MS_PER_DAY)
    with fleet.engine.connect() as connection:
        assert overview(connection, long_ago) == oracle.overview([], long_ago)
        assert (popular(connection, long_ago), slow_routes(connection, long_ago)) == ([], [])
        assert [day.requests for day in per_day(connection, long_ago)] == [0]
