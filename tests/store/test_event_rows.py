"""Compact rows: the view gives every event back, field for field, on each engine and after a migration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select, text
from tests.conftest import ENGINES, Open

from calos_telemetry.contract.events import (
    EVENT_TYPES,
    TYPE_NAMES,
    ApiRequest,
    ErrorEvent,
    Event,
    FeatureUsage,
    Performance,
    SessionEvent,
    from_json,
    to_json,
)
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store import migrate
from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.event_rows import EventRow, known_ids, write_events
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.tables import event_parts, event_rows, events, log_lines

INSTALL_ID = "ab" * 16
NOON = 1_764_072_000_000
HASH = "0123456789abcdef"

printable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
hashes = st.sampled_from([None, HASH, "f" * 16])
numbers = st.integers(0, 2**53 - 1)
values = st.one_of(st.none(), st.booleans(), printable, numbers, st.floats(-1e6, 1e6))
maps = st.dictionaries(printable, st.one_of(values, st.dictionaries(printable, values, max_size=2)), max_size=3)
any_event = st.one_of(
    st.builds(
        ApiRequest,
        method=st.sampled_from(["GET", "POST"]),
        path=printable,
        status=st.integers(0, 999),
        duration_us=st.none() | numbers,
        request_bytes=numbers,
        response_bytes=numbers,
        user=hashes,
        session=hashes,
        browser=st.none() | printable,
        country=st.sampled_from([None, "DE"]),
        database_queries=numbers,
    ),
    st.builds(FeatureUsage, feature=printable, metadata=maps, user=hashes, session=hashes),
    st.builds(ErrorEvent, category=st.just("other"), name=printable, message=printable, stack=printable, context=maps),
    st.builds(SessionEvent, action=st.just("start"), session=st.just(HASH), user=hashes),
    st.builds(
        Performance,
        metric=st.just("database_query"),
        duration_us=numbers,
        name=printable,
        buckets=st.none() | st.dictionaries(st.integers(0, 4_000), st.integers(1, 9), max_size=3),
    ),
)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    path = tmp_path_factory.mktemp("rows") / "telemetry.db"
    engine = open_database(url, path, TELEMETRY, INSTALL, schema="event_rows")
    yield engine
    engine.dispose()


def read(engine: Engine) -> dict[str, tuple[int, Event]]:
    """Return the events as the view shows them, by id."""
    with engine.connect() as connection:
        rows = connection.execute(select(events).where(events.c.install_id == INSTALL_ID)).all()
    return {row.event_id: (row.created_at, from_json(row.event_type, row.event_data)) for row in rows}


@settings(max_examples=60, deadline=None)
@given(some=st.lists(any_event, max_size=6))
def test_the_view_gives_each_event_back(engine: Engine, some: list[Event]) -> None:
    """Whatever fields an event has, its row and its parts together are that event again."""
    kept = {f"{number:032x}": (NOON + number, event) for number, event in enumerate(some)}
    with writing(engine) as connection:
        for table in (event_rows, event_parts):
            connection.execute(delete(table))
        rows = [EventRow(id_, at, TYPE_NAMES[type(one)], msgspec.to_builtins(one)) for id_, (at, one) in kept.items()]
        write_events(connection, INSTALL_ID, rows[:3])
        write_events(connection, INSTALL_ID, rows[3:])
    assert read(engine) == kept


def test_what_events_have_in_common_is_kept_once(install_engine: Engine) -> None:
    """A thousand requests of one route and one browser are a thousand short rows, one route and one client."""
    batch = [
        Stored(f"{n:032x}", NOON + n, ApiRequest(method="GET", path="/", status=200, duration_us=n, browser="Chrome"))
        for n in range(1_000)
    ]
    for some in (batch[:500], batch[500:]):
        with writing(install_engine) as connection:
            store_events(connection, INSTALL_ID, some)
    with install_engine.connect() as connection:
        parts = connection.execute(select(event_parts.c.event_type, event_parts.c.data)).all()
        assert sorted(map(tuple, parts)) == [
            ("api_request", '{"method":"GET","path":"/","status":200}'),
            ("client", '{"browser":"Chrome"}'),
        ]
        assert len(connection.execute(select(event_rows.c.rest).where(event_rows.c.rest.is_(None))).all()) == 1_000


def test_known_events_are_found_among_later_ones(install_engine: Engine) -> None:
    """An event is known by its time and its id together, whatever else was stored since."""
    batch = [Stored(f"{n:032x}", NOON + n, FeatureUsage(feature="pos")) for n in range(1_200)]
    with writing(install_engine) as connection:
        store_events(connection, INSTALL_ID, batch)
    asked = [(NOON + n, f"{n:032x}") for n in range(1_100)] + [(NOON, "f" * 32), (NOON + 1, f"{0:032x}")]
    with install_engine.connect() as connection:
        assert known_ids(connection, asked) == {f"{n:032x}" for n in range(1_100)}
        assert known_ids(connection, [(NOON + 9_999, "0" * 32)]) == set()
        assert known_ids(connection, []) == set()


@pytest.mark.parametrize("kind", ENGINES)
def test_events_of_the_first_release_survive_both_ways(kind: str, open_on: Open) -> None:
    """Plain rows become compact ones and plain ones again; ids of log lines are cut and remembered."""
    engine = open_on(kind)
    _to(engine, "telemetry_0001")
    line = ApiRequest(method="GET", path="/a", status=200, session=HASH)
    whole: list[Event] = [
        ApiRequest(method="GET", path="/a", status=200, duration_us=5, user=HASH),
        line,
        ErrorEvent(category="other", name="E", message="it broke"),
    ]
    rows = [
        {"id": f"{n:x}" * 32, "i": INSTALL_ID, "t": TYPE_NAMES[type(event)], "d": to_json(event), "at": NOON + n}
        for n, event in enumerate(whole)
    ]
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO telemetry_events VALUES (:id, :i, :t, :d, :at)"), rows)
    _to(engine, "head")
    expected = {row["id"]: (row["at"], event) for row, event in zip(rows, whole, strict=True)}
    expected["1" * 16] = expected.pop("1" * 32)
    assert read(engine) == expected
    with engine.connect() as connection:
        assert list(connection.scalars(select(log_lines.c.id))) == [0x1111111111111111]
    _to(engine, "telemetry_0001")
    assert read(engine) == expected
    _to(engine, "head")
    assert read(engine) == expected


def _to(engine: Engine, version: str) -> None:
    config = migrate._config(TELEMETRY)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        move = command.upgrade if version == "head" else command.downgrade
        move(config, version)


def test_every_type_of_event_is_tried() -> None:
    """The strategy above knows all event types, so a new one cannot be forgotten."""
    assert set(EVENT_TYPES.values()) == {ApiRequest, FeatureUsage, ErrorEvent, SessionEvent, Performance}
