"""Databases and events for the rollup tests."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.tables import aggregates, errors, events, features, performance, sessions
from tests.conftest import ENGINES

INSTALL_ID = "ab" * 16
Rows = dict[str, set[tuple[Any, ...]]]
Store = Callable[[Sequence[Sequence[Stored]]], Rows]


def rows_of(engine: Engine) -> Rows:
    """Return all rows of the six tables, without the revision, which differs from drain to drain."""
    tables = (events, features, errors, performance, sessions, aggregates)
    with engine.connect() as connection:
        return {
            table.name: {
                tuple(row) for row in connection.execute(select(*(c for c in table.columns if c.name != "revision")))
            }
            for table in tables
        }


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


@pytest.fixture(scope="session", params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Store batches in an emptied database, one transaction each, and return what is in it then."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    path = tmp_path_factory.mktemp("rollup") / "telemetry.db"
    engine = open_database(url, path, TELEMETRY, INSTALL, schema="rollup")
    if url is None:
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))  # for speed
    engine.dispose()

    def stored(batches: Sequence[Sequence[Stored]]) -> Rows:
        with writing(engine) as connection:
            for table in (*TELEMETRY.metadata.sorted_tables, *INSTALL.metadata.sorted_tables):
                connection.execute(table.delete())
        for batch in batches:
            with writing(engine) as connection:
                store_events(connection, INSTALL_ID, batch)
        return rows_of(engine)

    yield stored
    engine.dispose()
