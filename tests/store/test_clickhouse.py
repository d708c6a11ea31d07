"""The telemetry tables on real ClickHouse servers: one, and a cluster of two shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest
from sqlalchemy import func, select, text
from tests.clickhouse import CLUSTER, Node, url_of
from tests.server.analytics.fleet import ONE, aggregate, failure, route
from tests.server.clickhouse_fixtures import fresh, started

from calos_telemetry.contract.histogram import bucket_of
from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.store.clickhouse import ClickHouse, open_clickhouse
from calos_telemetry.store.clickhouse_ddl import FLEET, stored_in
from calos_telemetry.store.tables import aggregates, errors, latency, performance

DATE = "2026-11-25"


@pytest.fixture(scope="module", params=[1, 2], ids=["one server", "two shards"])
def nodes(request: pytest.FixtureRequest) -> Iterator[list[Node]]:
    """Run the servers."""
    yield from started(request.param)


def prepared(url: str) -> ClickHouse:
    """Open a ClickHouse and bring its tables up to date."""
    opened = open_clickhouse(url)
    try:
        opened.prepare()
    except Exception:
        opened.close()
        raise
    return opened


@pytest.fixture
def clickhouse(nodes: list[Node]) -> Iterator[ClickHouse]:
    """Return an empty ClickHouse whose parts are never merged behind the test's back."""
    opened = prepared(fresh(nodes))
    yield opened
    opened.close()


def rows(revision: int, value: int, installs: int = 20) -> list[dict[str, Any]]:
    """Return a row for each of some installs."""
    return [
        aggregate(f"{number:032x}", DATE, "feature", "pos", value) | {"revision": revision}
        for number in range(installs)
    ]


def totals(clickhouse: ClickHouse) -> tuple[int, int]:
    """Return the rows that a question sees, and the sum of their values."""
    with clickhouse.reader.connect() as connection:
        count, total = connection.execute(
            select(func.count(), func.sum(aggregates.c.value)).select_from(aggregates)
        ).one()
    return int(count), int(total or 0)


def on_each(nodes: list[Node], query: str) -> list[Any]:
    """Run a query on each server and return its answers."""
    answers = []
    for node in nodes:
        with clickhouse_connect.get_client(host="127.0.0.1", port=node.http) as client:
            answers.append(client.command(query))
    return answers


def test_a_question_sees_the_newest_revision_of_unmerged_parts(clickhouse: ClickHouse, nodes: list[Node]) -> None:
    """Whichever order they come in and before anything is merged, of each row the highest revision counts, once."""
    held = stored_in(aggregates, clickhouse.address)
    on_each(nodes, f"SYSTEM STOP MERGES {held}")
    for revision, value in ((2, 20), (3, 30), (1, 10)):
        clickhouse.insert(aggregates, rows(revision, value), f"r{revision}")
    assert totals(clickhouse) == (20, 600)
    stored = on_each(nodes, f"SELECT count() FROM {held}")
    assert sum(stored) == 60
    assert all(stored), "every shard has its share"


def test_a_repeated_insert_adds_nothing(clickhouse: ClickHouse, nodes: list[Node]) -> None:
    """With the same token not even a part is added; with another one the row is there once for a question."""
    held = stored_in(aggregates, clickhouse.address)
    on_each(nodes, f"SYSTEM STOP MERGES {held}")
    for token in ("one", "one", "two"):
        clickhouse.insert(aggregates, rows(1, 5), token)
    assert sum(on_each(nodes, f"SELECT count() FROM {held}")) == 40
    assert totals(clickhouse) == (20, 100)


def test_a_newer_histogram_replaces_the_older_one_whole(clickhouse: ClickHouse) -> None:
    """An install that went back to a backup reports fewer buckets: none of those before is counted any more."""
    for revision, durations in ((1, [5, 900]), (2, [5])):
        clickhouse.insert(performance, [route(ONE, DATE, "/a", durations, revision=revision)], f"r{revision}")
    with clickhouse.reader.connect() as connection:
        assert connection.execute(select(latency.c.bucket, latency.c.count)).all() == [(bucket_of(5_000), 1)]


def test_texts_and_empty_values_come_back_as_they_were(clickhouse: ClickHouse) -> None:
    """Quotes, zeros, line feeds and letters of every alphabet survive, and so does the absence of a value."""
    nasty = "o'Brien \"\\\0\n\t% {x} ᚠ 漢 🚀"
    row = failure(ONE, "a", 2**53 - 1, message=nasty, status_code=None, path=None)
    clickhouse.insert(errors, [row], "nasty")
    with clickhouse.reader.connect() as connection:
        assert dict(connection.execute(select(errors)).one()._mapping) == row


def test_reports_of_many_years_fit_into_one_insert(clickhouse: ClickHouse) -> None:
    """A clock that was wrong for long touches many partitions, and no report may block those behind it."""
    years = [
        aggregate(ONE, f"{year}-{month:02}-01", "feature", "pos", 1)
        for year in range(2000, 2027)
        for month in range(1, 13)
    ]
    clickhouse.insert(aggregates, years, "years")
    assert totals(clickhouse) == (len(years), len(years))


def test_erasure_takes_every_row_of_one_install_from_the_disks(clickhouse: ClickHouse, nodes: list[Node]) -> None:
    """Rows of every revision and table go, those of others stay; the count is that of the rows a question saw."""
    for revision in (1, 2):
        clickhouse.insert(aggregates, rows(revision, 1), f"r{revision}")
    clickhouse.insert(performance, [route(rows(1, 1)[3]["install_id"], DATE, "/a", [5])], "p")
    gone = rows(1, 1)[3]["install_id"]
    assert clickhouse.erase(gone) == 2
    assert clickhouse.erase(gone) == 0
    assert totals(clickhouse) == (19, 19)
    for table in FLEET:
        held = stored_in(table, clickhouse.address)
        assert sum(on_each(nodes, f"SELECT count() FROM {held} WHERE install_id = '{gone}'")) == 0


def test_opening_again_changes_nothing(clickhouse: ClickHouse, nodes: list[Node]) -> None:
    """Tables that are there stay with their rows."""
    clickhouse.insert(aggregates, rows(1, 1), "once")
    again = prepared(url_of(nodes, clickhouse.address.database))
    assert totals(again) == (20, 20)
    again.close()


def test_an_interrupted_migration_is_begun_again(clickhouse: ClickHouse, nodes: list[Node]) -> None:
    """Where the version was not written down, the statements are repeated beside the tables that exist."""
    database = clickhouse.address.database
    clickhouse.insert(aggregates, rows(1, 1), "once")
    on_each(nodes, f"DROP VIEW {database}.telemetry_latency")
    on_each(nodes, f"TRUNCATE TABLE {database}.calos_version")
    prepared(url_of(nodes, database)).close()
    with clickhouse.reader.connect() as connection:
        assert connection.execute(select(latency)).all() == []
    assert totals(clickhouse) == (20, 20)


def test_newer_tables_are_refused(clickhouse: ClickHouse, nodes: list[Node]) -> None:
    """An older program does not touch what a newer one made."""
    database = clickhouse.address.database
    on_each(nodes, f"INSERT INTO {database}.calos_version VALUES ('telemetry', 99)")
    with pytest.raises(StoreError, match="newer version"):
        prepared(url_of(nodes, database))


def test_a_wrong_password_is_said_without_it(nodes: list[Node]) -> None:
    """The sentence names the place and not the secret."""
    url = url_of(nodes, "calos").replace("default@", "default:hunter2@")
    with pytest.raises(StoreError, match="ClickHouse calos at") as raised:
        prepared(url)
    assert "hunter2" not in str(raised.value)


def test_an_unknown_cluster_is_refused(nodes: list[Node]) -> None:
    """A name that the servers do not know would give tables that nobody can read."""
    url = url_of(nodes[:1], "calos") + "?cluster=elsewhere"
    with pytest.raises(SettingsError, match="no cluster 'elsewhere'"):
        prepared(url)


def test_half_a_cluster_is_refused(nodes: list[Node]) -> None:
    """Tables on some of the shards would lose the reports of the others."""
    if len(nodes) == 1:
        pytest.skip("one server has no halves")
    with pytest.raises(SettingsError, match="has 2 servers and the ClickHouse URL names 1"):
        prepared(url_of(nodes[:1], "calos") + f"?cluster={CLUSTER}")


def test_one_question_cannot_take_the_whole_memory(clickhouse: ClickHouse) -> None:
    """The bounds reach the server."""
    names = ("max_memory_usage", "max_execution_time", "max_bytes_before_external_group_by")
    with clickhouse.reader.connect() as connection:
        values = [connection.scalar(text(f"SELECT toInt64(getSetting('{name}'))")) for name in names]
    assert all(values)
