"""Requests are taken apart together: the rows are those of one by one."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select

from calos_telemetry.clock import MS_PER_HOUR
from calos_telemetry.contract.events import TYPE_NAMES, ApiRequest, Event, FeatureUsage
from calos_telemetry.contract.fields import MAX_COUNT
from calos_telemetry.sdk.record.rows import write_batch
from calos_telemetry.sdk.rollup.batch import Batch, Stored
from calos_telemetry.store.event_rows import EventRow, write_events
from calos_telemetry.store.tables import event_parts, event_rows, telemetry

INSTALL_ID = "ab" * 16
NOON = 1_764_072_000_000
numbers = st.integers(0, 3) | st.integers(0, MAX_COUNT)
hashes = st.sampled_from((None, "0" * 16, "0123456789abcdef"))
requests = st.builds(
    ApiRequest,
    method=st.sampled_from(("GET", "POST")),
    path=st.sampled_from(("/", "/api/:id")),
    status=st.sampled_from((200, 404)),
    duration_us=st.none() | numbers,
    request_bytes=numbers,
    response_bytes=numbers,
    feature=st.sampled_from((None, "pos")),
    user=hashes,
    session=hashes,
    country=st.sampled_from((None, "DE")),
    browser=st.sampled_from((None, "Chrome", "Firefox")),
    os=st.sampled_from((None, "Windows")),
    style=st.sampled_from(("rest", "graphql")),
    error=st.sampled_from((None, "database")),
    inferred=st.booleans(),
    database_us=numbers,
    database_queries=numbers,
    streamed_us=st.none() | numbers,
    disconnected=st.booleans(),
)
uses = st.builds(FeatureUsage, feature=st.just("pos"), metadata=st.sampled_from(({}, {"count": 3})), user=hashes)


def kept(write: Callable[[Connection], None]) -> list[tuple[Any, ...]]:
    """Return each event as it is kept, its parts written out instead of numbered."""
    engine = create_engine("sqlite://")
    telemetry.create_all(engine)
    with engine.begin() as connection:
        write(connection)
        parts = {row.id: (row.event_type, row.data, row.used_on) for row in connection.execute(select(event_parts))}
        rows = connection.execute(select(event_rows).order_by(event_rows.c.created_at, event_rows.c.event_id)).all()
    return [(at, id_, parts[part], client and parts[client], *columns) for at, id_, part, client, *columns in rows]


@settings(max_examples=150, deadline=None)
@given(seen=st.lists(st.tuples(st.integers(0, 40 * MS_PER_HOUR), requests | uses), max_size=12))
def test_rows_are_those_of_one_by_one(seen: list[tuple[int, Event]]) -> None:
    """Whatever requests have in common or of their own, they are kept as if each had been taken apart alone."""
    stored = [Stored(f"{n:032x}", NOON + after, event) for n, (after, event) in enumerate(seen)]
    alone = [EventRow(it.event_id, it.at, TYPE_NAMES[type(it.event)], msgspec.to_builtins(it.event)) for it in stored]
    assert kept(lambda connection: write_batch(connection, Batch(INSTALL_ID, 1, stored))) == kept(
        lambda connection: write_events(connection, INSTALL_ID, alone)
    )
