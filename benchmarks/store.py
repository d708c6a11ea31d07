"""The store beside its floors: drain with rollups, disk space, and the summary of a day among many.

    python benchmarks/store.py                       writes docs/benchmarks/store.md; a quarter of an hour
    python benchmarks/store.py --stored 1000000      the same with fewer stored events before the summary is timed

The floors of a drain are the driver's fastest way (``executemany``, ``COPY``) with the very rows that the drain leaves in
the table of events, into a table like it, and with the same events as plain text rows.  All three take turns in each round,
in databases of their own, so that what the machine does meanwhile hits all of them.
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Connection, Engine, Float, cast, func, select, text

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.postgres import NEEDS, bin_directory, server

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage, to_json, to_record
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record.drain import EVENTS_PER_TRANSACTION, Drain
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.settings import Settings
from calos_telemetry.store.bulk import insert_bulk
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.retention import stored_bytes
from calos_telemetry.store.summary import summarise
from calos_telemetry.store.tables import event_rows, events

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "store.md"
INSTALL_ID = "ab" * 16
ROUTES = 60
PER_SESSION = 10
FEATURES, FAILURES, ANSWERED = 0.05, 0.01, 0.93
DAYS = 90
PLAIN = "(event_id TEXT PRIMARY KEY, install_id TEXT, event_type TEXT, event_data TEXT, created_at BIGINT)"
_CHANCE = random.Random(7)

Seen = Sequence[tuple[int, Event]]


def traffic(number: int, start: int, length_ms: int) -> Iterator[tuple[int, Event]]:
    """Yield events of a busy shop: 60 routes, few of them busy, a feature in twenty events, a failure in a hundred.

    400 users have sessions of ten requests, most of which ask the database.
    """
    users = [f"{_CHANCE.getrandbits(64):016x}" for _ in range(400)]
    sessions = {user: f"{_CHANCE.getrandbits(64):016x}" for user in users}
    for n in range(number):
        at, user = start + n * length_ms // number, _CHANCE.choice(users)
        if _CHANCE.random() < 1 / PER_SESSION:
            sessions[user] = f"{_CHANCE.getrandbits(64):016x}"
        queries = _CHANCE.randrange(5)
        route, kind = min(int(_CHANCE.paretovariate(0.7)) - 1, ROUTES - 1), _CHANCE.random()
        if kind < FEATURES:
            yield at, FeatureUsage(feature=f"feature_{route % 12}", user=user, session=sessions[user])
        elif kind < FEATURES + FAILURES:
            yield (
                at,
                ErrorEvent(category="database", name="OperationalError", message="it broke", path=f"/api/r{route}"),
            )
        else:
            yield (
                at,
                ApiRequest(
                    method="GET" if route % 3 else "POST",
                    path=f"/api/r{route}/:id",
                    status=200 if _CHANCE.random() < ANSWERED else _CHANCE.choice((301, 404, 500)),
                    duration_us=int(_CHANCE.lognormvariate(9.5, 1.2)),
                    request_bytes=_CHANCE.randrange(2_000),
                    response_bytes=_CHANCE.randrange(50_000),
                    feature=f"feature_{route % 12}" if route % 2 else None,
                    user=user,
                    session=sessions[user],
                    browser=_CHANCE.choice(("Chrome", "Firefox", "Safari")),
                    os=_CHANCE.choice(("Windows", "macOS", "Android")),
                    country=_CHANCE.choice(("DE", "FR", "US")),
                    database_us=queries * _CHANCE.randrange(200, 4_000),
                    database_queries=queries,
                ),
            )


@dataclass
class Figures:
    """Rates of the rounds, per second, and the size in bytes that a round leaves."""

    drained: list[float] = field(default_factory=list)
    same_rows: list[float] = field(default_factory=list)
    plain_rows: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def share(self) -> str:
        """The drain as a share of the same rows alone, round by round."""
        return middle([100 * one / other for one, other in zip(self.drained, self.same_rows, strict=True)], "%")


@contextmanager
def database(url: str | None) -> Iterator[tuple[Path, Engine]]:
    """Lend a fresh database and a directory."""
    with tempfile.TemporaryDirectory() as folder:
        schema = f"bench_{time.monotonic_ns()}"
        engine = open_database(url, Path(folder) / "telemetry.db", TELEMETRY, INSTALL, schema=schema)
        yield Path(folder), engine
        engine.dispose()


def one_round(url: str | None, seen: Seen, figures: Figures) -> None:
    """Drain the events, then insert the rows that this left, and plain ones."""
    with database(url) as (home, engine):
        with engine.connect() as connection:
            empty = stored_bytes(connection)
        figures.drained.append(len(seen) / drain(home, engine, seen))
        with engine.connect() as connection:
            figures.size = stored_bytes(connection) - empty
            rows = [tuple(row) for row in connection.execute(select(event_rows))]
        with writing(engine) as connection:
            like = _like(connection)
        figures.same_rows.append(len(rows) / timed(lambda: in_transactions(engine, rows, like)))
    with database(url) as (_, engine):
        plain = [(f"{n:032x}", INSTALL_ID, "api_request", to_json(event), at) for n, (at, event) in enumerate(seen)]
        with writing(engine) as connection:
            connection.execute(text(f"CREATE TABLE plain {PLAIN}"))
        figures.plain_rows.append(len(plain) / timed(lambda: in_transactions(engine, plain, _put_plain)))


Put = Callable[[Connection, Sequence[tuple[Any, ...]]], None]


def _like(connection: Connection) -> Put:
    """Make a table like that of the events; return what fills it."""
    bare = event_rows.to_metadata(type(event_rows.metadata)(), name="bare")
    bare.create(connection)
    return lambda connection, rows: insert_bulk(connection, bare, rows)


def _put_plain(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.executemany("INSERT INTO plain VALUES (?, ?, ?, ?, ?)", rows)
        return
    with driver.cursor() as cursor, cursor.copy("COPY plain FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def in_transactions(engine: Engine, rows: Sequence[tuple[Any, ...]], put: Put) -> None:
    """Insert rows in transactions as large as the drain's."""
    for start in range(0, len(rows), EVENTS_PER_TRANSACTION):
        with writing(engine) as connection:
            put(connection, rows[start : start + EVENTS_PER_TRANSACTION])


def drain(home: Path, engine: Engine, seen: Seen) -> float:
    """Return the seconds of a drain of spooled events, rollups included."""
    directory = home / "spool"
    directory.mkdir(mode=0o700)
    spool = Spool(directory, max_total=1 << 30)
    for at, event in seen:
        if not spool.append(to_record(at, event)):
            raise RuntimeError("the spool is full: give fewer --events")
    spool.close()
    draining = Drain(directory, engine, INSTALL_ID, Policy(Settings(home=home), Tier.COMMUNITY))
    gc.freeze()  # a drain's process does not have this one's hundred thousand events to look through
    try:
        return timed(lambda: assert_drained(draining, len(seen)))
    finally:
        gc.unfreeze()


def assert_drained(draining: Drain, number: int) -> None:
    """Drain, and see that all of it was stored."""
    done = draining.run()
    if done.events != number:
        raise RuntimeError(f"{done.events} of {number} events were stored")


def fill(engine: Engine, number: int) -> None:
    """Store ``number`` events of the last 90 days."""
    batch: list[Stored] = []
    for n, (at, event) in enumerate(traffic(number, now_ms() - DAYS * MS_PER_DAY, DAYS * MS_PER_DAY)):
        batch.append(Stored(f"{n:032x}", at, event))
        if len(batch) == EVENTS_PER_TRANSACTION or n == number - 1:
            with writing(engine) as connection:
                store_events(connection, INSTALL_ID, batch)
            batch = []


def summaries(url: str | None, stored: int) -> str:
    """Return the row of the table about summaries."""
    with database(url) as (_, engine):
        fill(engine, stored)
        day = now_ms()
        ours, raw = [], []
        for _ in range(7):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                ours.append(1_000 * timed(partial(summarise, connection, INSTALL_ID, now=day, hours=24)))
                raw.append(1_000 * timed(partial(_by_template, connection, day - MS_PER_DAY)))
        return f"{stored:,} | {stored // DAYS:,} | {middle(ours, 'ms')} | {middle(raw, 'ms')}"


def _by_template(connection: Connection, since: int) -> None:
    """Ask the obvious query: requests by template, from the events as an operator sees them."""
    data = cast(events.c.event_data, JSON) if connection.dialect.name == "postgresql" else events.c.event_data
    path, duration = (data.op("->>")(name) for name in ("path", "duration_us"))
    asked = select(path, func.count(), func.avg(cast(duration, Float))).group_by(path).order_by(func.count().desc())
    requests = events.c.created_at > since, events.c.event_type == "api_request"
    connection.execute(asked.where(*requests)).all()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def middle(values: Sequence[float], unit: str) -> str:
    """Return the median with the least and the most."""
    return f"{statistics.median(values):,.0f} {unit} ({min(values):,.0f} to {max(values):,.0f})"


def page(engines: dict[str, str | None], number: int, stored: int, rounds: int) -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# The store: draining, size, summaries"
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}; `make bench`."
    yield f"Medians of {rounds} rounds (least to most); {number:,} events of one day a round."
    yield ""
    yield "| engine | drain with all rollups | the same event rows alone | share | plain text rows | disk for 10,000 events |"
    yield "|---|---|---|---|---|---|"
    figures = {name: Figures() for name in engines}
    for _ in range(rounds):
        seen = list(traffic(number, now_ms() - MS_PER_DAY, MS_PER_DAY))
        for name, url in engines.items():
            one_round(url, seen, figures[name])
    for name, one in figures.items():
        cells = (middle(one.drained, "/s"), middle(one.same_rows, "/s"), one.share, middle(one.plain_rows, "/s"))
        yield f"| {name} | {' | '.join(cells)} | {one.size / number / 100:.2f} MB |"
    if stored:
        yield ""
        yield "| engine | stored events | of them in the last 24 hours | summary of 24 hours | requests by template from the events |"
        yield "|---|---|---|---|---|"
        for name, url in engines.items():
            yield f"| {name} | {summaries(url, stored)} |"


def main() -> None:
    """Write and print the page of the engines that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000, help="events to drain in a round")
    parser.add_argument("--stored", type=int, default=10_000_000, help="events to store before the summary is timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    asked = parser.parse_args()
    engines: dict[str, str | None] = {}
    with ExitStack() as stack:
        for kind in asked.engine or ["sqlite", "postgresql"]:
            engines[kind] = None
            if kind == "postgresql":
                binaries = bin_directory()
                if binaries is None:
                    parser.error(NEEDS)
                engines[kind] = stack.enter_context(server(binaries))
        text = "\n".join(page(engines, asked.events, asked.stored, asked.rounds)) + "\n"
        print(text)
        asked.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
