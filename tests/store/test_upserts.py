"""The two ways of writing a rollup row: counts add up, and of two revisions the higher stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, Table, create_engine, delete, select
from sqlalchemy.pool import StaticPool
from tests.conftest import ENGINES

from calos_telemetry.store import tables
from calos_telemetry.store.migrate import TELEMETRY
from calos_telemetry.store.postgres import open_postgres
from calos_telemetry.store.upserts import add_up, insert_new, keep_newest

VENDOR_TABLES = [tables.features, tables.errors, tables.performance, tables.aggregates]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    """Return the tables in memory, and in a schema of PostgreSQL."""
    if request.param == "postgresql":
        engine = open_postgres(request.getfixturevalue("postgres_url"), TELEMETRY, schema="upserts")
    else:
        engine = create_engine("sqlite://", poolclass=StaticPool)
        tables.telemetry.create_all(engine)
    yield engine
    engine.dispose()


def row(table: Table, key: int, value: int, revision: int) -> dict[str, Any]:
    """Return a row whose every column follows from ``key`` (its identity) or ``value`` (the rest)."""
    keys = {column.name for column in table.primary_key}
    whole: dict[str, Any] = {
        column.name: (key if column.name in keys else value) if column.type.python_type is int else str(key)
        for column in table.columns
    }
    return whole | {"revision": revision}


def content(engine: Engine, table: Table) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(select(table).order_by(*table.primary_key)).mappings()
        return [dict(one) for one in rows]


def write(engine: Engine, table: Table, batches: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        connection.execute(delete(table))
    for batch in batches:
        with engine.begin() as connection:
            keep_newest(connection, table, batch)
    return content(engine, table)


@pytest.mark.parametrize("table", VENDOR_TABLES, ids=lambda table: table.name)
@given(data=st.data())
def test_any_order_and_repetition_of_reports_gives_the_same_rows(
    engine: Engine, table: Table, data: st.DataObject
) -> None:
    """Reports of rising revisions, shuffled, doubled and split: the newest value of each row is what stays."""
    changes = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), min_size=1, max_size=12))
    reports = [row(table, key, value, revision) for revision, (key, value) in enumerate(changes)]
    newest = {one["revision"]: one for one in reports}
    last = {key: revision for revision, (key, _) in enumerate(changes)}
    expected = [newest[last[key]] for key in sorted(last)]
    order = data.draw(st.permutations(reports + reports[::2]))
    cut = data.draw(st.integers(0, len(order)))
    assert write(engine, table, [order[:cut], order[cut:]]) == expected


def test_the_same_revision_twice_keeps_the_first(engine: Engine) -> None:
    """A revision names one value: whoever sends another under the same number changes nothing."""
    first, second = row(tables.features, 1, 10, 5), row(tables.features, 1, 99, 5)
    assert write(engine, tables.features, [[first], [second]]) == [first]


def test_no_rows_are_no_statement(engine: Engine) -> None:
    """An empty report is written without a word to the database."""
    assert write(engine, tables.features, [[]]) == []
    with engine.begin() as connection:
        add_up(connection, tables.features, [], {})
        insert_new(connection, tables.features, [])
    assert content(engine, tables.features) == []


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1_000), st.integers(0, 1_000)), min_size=1, max_size=10),
    st.data(),
)
def test_adding_up_does_not_depend_on_the_order(
    engine: Engine, uses: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Sums, earliest and latest come out the same, however the drains were ordered and cut."""
    how: Any = {"usage_count": "add", "first_used_at": "least", "last_used_at": "greatest", "revision": "replace"}
    rows = [
        {"install_id": "i", "feature": "f", "usage_count": n, "first_used_at": a, "last_used_at": b, "revision": 1}
        for n, a, b in uses
    ]
    order = data.draw(st.permutations(rows))
    with engine.begin() as connection:
        connection.execute(delete(tables.features))
    cut = data.draw(st.integers(0, len(order)))
    for batch in (order[:cut], order[cut:]):
        with engine.begin() as connection:
            add_up(connection, tables.features, batch, how)
    (found,) = content(engine, tables.features)
    assert found["usage_count"] == sum(n for n, _, _ in uses)
    assert found["first_used_at"] == min(a for _, a, _ in uses)
    assert found["last_used_at"] == max(b for _, _, b in uses)


def test_inserting_new_leaves_what_is_there(engine: Engine) -> None:
    """A row that is inserted twice stays as it was the first time."""
    first, second = row(tables.features, 1, 10, 0), row(tables.features, 1, 99, 0)
    with engine.begin() as connection:
        connection.execute(delete(tables.features))
        insert_new(connection, tables.features, [first, second])
        insert_new(connection, tables.features, [second])
    assert content(engine, tables.features) == [first]
