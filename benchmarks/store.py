"""The store beside its floors: drain with rollups, disk space, and the summary of a day among many.

    python benchmarks/store.py [--events 50000] [--stored 1000000] [--engine sqlite|postgresql]

The floor of a drain is what the driver does with the same events as plain rows, in the same run: ``executemany`` into
one SQLite table of five columns, ``COPY`` into one of PostgreSQL.  Figures of a shared machine vary by a third.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.postgres import NEEDS, bin_directory, server

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage, to_json, to_record
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record.drain import Drain
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.settings import Settings
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.retention import stored_bytes
from calos_telemetry.store.summary import summarise

INSTALL_ID = "ab" * 16
BATCH = 5_000
ROUTES = 60
FEATURES, FAILURES, ANSWERED = 0.05, 0.01, 0.93
PLAIN = "(event_id TEXT PRIMARY KEY, install_id TEXT, event_type TEXT, event_data TEXT, created_at BIGINT)"
_CHANCE = random.Random(7)


def traffic(number: int, start: int, length_ms: int) -> Iterator[tuple[int, Event]]:
    """Yield events of a busy shop: 60 routes, few of them busy, 400 users, a feature in twenty, a failure in a hundred."""
    users = [f"{_CHANCE.getrandbits(64):016x}" for _ in range(400)]
    sessions = {user: f"{_CHANCE.getrandbits(64):016x}" for user in users}
    for n in range(number):
        at, user = start + n * length_ms // number, _CHANCE.choice(users)
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
                ),
            )


def floor_sqlite(path: Path, rows: list[tuple[object, ...]]) -> float:
    """Return the seconds of plain rows into SQLite, with our journal and sync."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"CREATE TABLE plain {PLAIN}")
        begun = time.perf_counter()
        for start in range(0, len(rows), BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO plain VALUES (?, ?, ?, ?, ?)", rows[start : start + BATCH])
            connection.execute("COMMIT")
        return time.perf_counter() - begun


def floor_postgresql(url: str, rows: list[tuple[object, ...]]) -> float:
    """Return the seconds of a COPY of plain rows into PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE plain {PLAIN}")
        begun = time.perf_counter()
        with connection.cursor().copy("COPY plain FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return time.perf_counter() - begun


def drain(home: Path, engine: Engine, events: list[tuple[int, Event]]) -> float:
    """Return the seconds of a drain of spooled events, rollups included."""
    directory = home / "spool"
    directory.mkdir(mode=0o700)
    spool = Spool(directory)
    for at, event in events:
        if not spool.append(to_record(at, event)):
            raise RuntimeError("the spool is full: give fewer --events")
    spool.close()
    policy = Policy(Settings(home=home), Tier.COMMUNITY)
    begun = time.perf_counter()
    done = Drain(directory, engine, INSTALL_ID, policy).run()
    took = time.perf_counter() - begun
    if done.events != len(events):
        raise RuntimeError(f"{done.events} of {len(events)} events were stored")
    return took


def fill(engine: Engine, number: int) -> None:
    """Store ``number`` events of the last 30 days."""
    batch: list[Stored] = []
    for n, (at, event) in enumerate(traffic(number, now_ms() - 30 * MS_PER_DAY, 30 * MS_PER_DAY)):
        batch.append(Stored(f"{'f' * 16}{n:016x}", at, event))
        if len(batch) == BATCH or n == number - 1:
            with writing(engine) as connection:
                store_events(connection, INSTALL_ID, batch)
            batch = []


def measure(kind: str, url: str | None, events: int, stored: int) -> None:
    """Print the figures of one engine."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        engine = open_database(url, home / "telemetry.db", TELEMETRY, INSTALL, schema="benchmark")
        seen = list(traffic(events, now_ms() - MS_PER_DAY, MS_PER_DAY))
        rows = [(f"{n:032x}", INSTALL_ID, "api_request", to_json(event), at) for n, (at, event) in enumerate(seen)]
        floor = floor_sqlite(home / "floor.db", rows) if url is None else floor_postgresql(url, rows)
        with engine.connect() as connection:
            empty = stored_bytes(connection)
        took = drain(home, engine, seen)
        with engine.connect() as connection:
            size = stored_bytes(connection) - empty
        print(f"{kind:10}  drain with rollups {events / took:9,.0f} events/s   bare rows {events / floor:9,.0f} rows/s")
        print(f"{kind:10}  {size / events / 100:9.2f} MB per 10,000 events, rollups included")
        if stored:
            fill(engine, stored)
            print(f"{kind:10}  {summary_ms(engine):9.0f} ms for the summary of 24 h at {stored + events:,} events")
        engine.dispose()


def summary_ms(engine: Engine) -> float:
    """Return the best of three summaries of the last day."""
    best = float("inf")
    for _ in range(3):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            begun = time.perf_counter()
            summarise(connection, INSTALL_ID, now=now_ms(), hours=24)
            best = min(best, time.perf_counter() - begun)
    return best * 1_000


def main() -> None:
    """Measure the engines that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help="events to drain")
    parser.add_argument("--stored", type=int, default=0, help="events to store before the summary is timed")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    asked = parser.parse_args()
    engines = asked.engine or ["sqlite", "postgresql"]
    with ExitStack() as stack:
        for kind in engines:
            url = None
            if kind == "postgresql":
                binaries = bin_directory()
                if binaries is None:
                    print(NEEDS)
                    continue
                url = stack.enter_context(server(binaries))
            measure(kind, url, asked.events, asked.stored)


if __name__ == "__main__":
    main()
