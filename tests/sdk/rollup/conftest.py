"""Databases and events for the rollup tests."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, select

from calos_telemetry.contract.counters import OF_ROWS
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from calos_telemetry.store.tables import aggregates, errors, events, features, performance, sessions, user_days
from tests.conftest import ENGINES, Open, empty

INSTALL_ID = "ab" * 16
Rows = dict[str, set[tuple[Any, ...]]]
Store = Callable[[Sequence[Sequence[Stored]]], Rows]


def rows_of(engine: Engine) -> Rows:
    """Return all rows of the tables, without the revision, which differs from drain to drain, and without zeros.

    A count that was taken back stays as 0, because the vendor has to learn of it.  What is counted of the rows
    themselves is no rollup.
    """
    tables = (events, features, errors, performance, sessions, aggregates, user_days)
    with engine.connect() as connection:
        rows = {
            table.name: {
                tuple(row) for row in connection.execute(select(*(c for c in table.columns if c.name != "revision")))
            }
            for table in tables
        }
    rows["telemetry_aggregates"] = {row for row in rows["telemetry_aggregates"] if row[4] and row[2] not in OF_ROWS}
    return rows


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture(scope="session", params=ENGINES)
def rollup_engine(request: pytest.FixtureRequest, open_lasting: Open) -> Engine:
    """Return one database for many examples, on each engine."""
    return open_lasting(request.param)


@pytest.fixture(scope="session")
def store(rollup_engine: Engine) -> Store:
    """Store batches in an emptied database, one transaction each, and return what is in it then."""

    def stored(batches: Sequence[Sequence[Stored]]) -> Rows:
        empty(rollup_engine)
        for batch in batches:
            with writing(rollup_engine) as connection:
                store_events(connection, INSTALL_ID, batch)
        return rows_of(rollup_engine)

    return stored
