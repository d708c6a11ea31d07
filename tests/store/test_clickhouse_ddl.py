"""The statements that make the tables: what the servers of the tests can run is run elsewhere; here is the rest."""

from __future__ import annotations

import re

import pytest

from calos_telemetry.store.clickhouse_address import parse_address
from calos_telemetry.store.clickhouse_ddl import FLEET, VERSIONS, stored_in, version_1

PLACES = {
    "one server": "clickhouse://h/calos",
    "shards": "clickhouse://a,b/calos?cluster=main",
    "replicas": "clickhouse://a/calos?cluster=main&replicated=true",
}


def test_replicated_tables_are_made_on_the_whole_cluster() -> None:
    """Every statement goes to all servers, and each table replicates under a path of its own."""
    address = parse_address(PLACES["replicas"])
    statements = version_1(address)
    assert all(" ON CLUSTER `main`" in statement for statement in statements)
    replicated = [statement for statement in statements if "ReplicatedReplacingMergeTree" in statement]
    paths = {
        re.findall(r"ReplicatedReplacingMergeTree\('([^']+)', '\{replica\}', revision\)", one)[0] for one in replicated
    }
    assert paths == {f"/clickhouse/tables/{{shard}}/calos/{table.name}" for table in FLEET}
    assert all(" replicated_deduplication_window" in statement for statement in replicated)


@pytest.mark.parametrize("url", PLACES.values(), ids=PLACES)
def test_rows_of_an_install_stay_together_and_can_be_told_apart(url: str) -> None:
    """Sorted by every column of the key, or rows of different keys would become one; sharded by the install."""
    address = parse_address(url)
    statements = "\n".join(version_1(address))
    for table in FLEET:
        made = re.findall(rf"{stored_in(table, address)}(?: ON CLUSTER `main`)? \(.*ORDER BY \(([^)]*)\)", statements)
        assert [set(columns.split(", ")) for columns in made] == [{column.name for column in table.primary_key}]
    assert statements.count("cityHash64(install_id)") == (len(FLEET) if address.cluster else 0)


@pytest.mark.parametrize("url", PLACES.values(), ids=PLACES)
def test_every_statement_can_be_repeated(url: str) -> None:
    """There are no transactions: a version that was interrupted is begun again."""
    for version in VERSIONS:
        assert all(" IF NOT EXISTS " in statement for statement in version(parse_address(url)))
