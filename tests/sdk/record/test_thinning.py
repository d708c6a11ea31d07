"""A day with too many events for the disk: a counted sample of them is kept, and every count stays exact."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, select

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.contract.counters import OF_ROWS
from calos_telemetry.contract.events import ApiRequest
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.record.thinning import KEPT, THINNED
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import books
from calos_telemetry.store.tables import aggregates, event_rows, features, performance, sessions

INSTALL_ID = "ab" * 16
MIDNIGHT = int(datetime(2026, 11, 25, tzinfo=UTC).timestamp()) * 1_000
TODAY = date_of(MIDNIGHT)
EVERY_MS = MS_PER_DAY // 8_000


def requests(number: int) -> list[Stored]:
    """Return requests spread over the day."""
    return [
        Stored(
            f"{n:032x}",
            MIDNIGHT + n * EVERY_MS,
            ApiRequest("GET", f"/{n % 3}", 200, n % 700, 0, n % 50, "pos", None, f"{n % 5:016x}"),
        )
        for n in range(number)
    ]


def store(engine: Engine, events: Sequence[Stored], budget: int, at_once: int) -> None:
    for start in range(0, len(events), at_once):
        with writing(engine) as connection:
            store_events(connection, INSTALL_ID, events[start : start + at_once], budget)


def rollups(engine: Engine) -> dict[str, set[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            table.name: {
                tuple(value for name, value in row._mapping.items() if name != "revision")
                for row in connection.execute(select(table))
                if getattr(row, "counter", None) not in OF_ROWS
            }
            for table in (features, performance, sessions, aggregates)
        }


def counted(engine: Engine, counter: str) -> int:
    mine = aggregates.c.date == TODAY, aggregates.c.counter == counter
    with engine.connect() as connection:
        return connection.scalar(select(aggregates.c.value).where(*mine)) or 0


def times_of_rows(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(event_rows.c.created_at).order_by(event_rows.c.created_at)))


def test_an_ordinary_day_is_kept_whole(install_engine: Engine) -> None:
    """Up to the budget every event has its row."""
    store(install_engine, requests(500), budget=500, at_once=200)
    assert len(times_of_rows(install_engine)) == counted(install_engine, KEPT) == 500
    assert counted(install_engine, THINNED) == 0


def test_of_a_day_beyond_the_budget_a_counted_sample_is_kept(install_engine: Engine) -> None:
    """At most one and a half budgets, the end of the day among them; kept and thinned add up to what was stored."""
    store(install_engine, requests(8_000), budget=500, at_once=900)
    kept = times_of_rows(install_engine)
    assert len(kept) == counted(install_engine, KEPT)
    assert counted(install_engine, KEPT) + counted(install_engine, THINNED) == 8_000
    assert 500 < len(kept) < 800
    assert kept[:500] == [MIDNIGHT + n * EVERY_MS for n in range(500)]
    assert kept[-1] > MIDNIGHT + 4_000 * EVERY_MS
    with install_engine.connect() as connection:
        assert connection.scalar(select(books.c.events).where(books.c.entry == "stored")) == 8_000


def test_rollups_do_not_depend_on_what_is_kept(install_engine: Engine) -> None:
    """Counts, histograms and sessions of a thinned day are those of a day that is kept whole."""
    events = requests(2_000)
    store(install_engine, events, budget=100, at_once=300)
    thinned = rollups(install_engine)
    with writing(install_engine) as connection:
        for table in (event_rows, features, performance, sessions, aggregates):
            connection.execute(delete(table))
    store(install_engine, events, budget=10_000, at_once=2_000)
    assert rollups(install_engine) == thinned
    assert sum(row[4] for row in thinned["telemetry_aggregates"] if row[2] == "requests") == 2_000  # type: ignore[misc]


def test_each_day_has_its_own_budget(install_engine: Engine) -> None:
    """A day that was too busy costs the next one nothing."""
    store(install_engine, requests(1_000), budget=50, at_once=1_000)
    next_day = [Stored(f"f{one.event_id[1:]}", one.at + MS_PER_DAY, one.event) for one in requests(50)]
    store(install_engine, next_day, budget=50, at_once=50)
    assert sum(at >= MIDNIGHT + MS_PER_DAY for at in times_of_rows(install_engine)) == 50
