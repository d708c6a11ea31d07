"""The telemetry tables on ClickHouse: the columns of ``store.tables``, the newest revision of each key.

On one server a table is a ``ReplacingMergeTree(revision)``.  On a cluster it is that on every shard (``…_local``), below a
``Distributed`` table of the plain name; all rows of an install are on one shard, so that revisions meet there.
With ``replicated=true`` engine and ``ON CLUSTER`` clauses are those of replicated tables: written by the manual, not tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table

from calos_telemetry.store.clickhouse_address import Address
from calos_telemetry.store.tables import aggregates, errors, features, performance

FLEET: Final = (features, errors, performance, aggregates)
"""The tables that reports fill."""

REMEMBERED_INSERTS = 10_000


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the rows of a table lie: sorted for the questions that are asked, in parts by year where they have one."""

    order: tuple[str, ...]
    year: str | None = None


# By year, not by month: a report may hold days of 20 years, and an insert may touch 100 partitions at most.
_LAYOUTS = {
    "telemetry_features": _Layout(("feature", "install_id")),
    "telemetry_errors": _Layout(("fingerprint", "install_id")),
    "telemetry_performance": _Layout(
        ("metric", "period", "install_id", "method", "path", "status"), "toYear(toDateTime(intDiv(period, 1000)))"
    ),
    "telemetry_aggregates": _Layout(("counter", "date", "install_id", "key"), "left(date, 4)"),
}
_FEW_VALUES = {"date", "counter", "metric", "method", "path", "key", "feature", "type", "name"}

_LATENCY = """
CREATE VIEW IF NOT EXISTS {database}.telemetry_latency{on_cluster} AS
SELECT install_id, period, metric, method, path, status, toInt32(pair.1) AS bucket, toInt64(pair.2) AS count
FROM (
  SELECT install_id, period, metric, method, path, status,
    arrayJoin(JSONExtractKeysAndValues(histogram, 'UInt64')) AS pair
  FROM {database}.telemetry_performance FINAL
)
"""


def stored_in(table: Table, address: Address) -> str:
    """Return the name of the table that holds the rows of ``table`` on each server."""
    return f"{address.database}.{table.name}" + ("_local" if address.cluster else "")


def version_1(address: Address) -> list[str]:
    """Return the statements of the first version.  Each can be repeated: there are no transactions."""
    statements = [statement for table in FLEET for statement in _table(table, address)]
    return [*statements, _LATENCY.format(database=address.database, on_cluster=on_cluster(address)).strip()]


VERSIONS: Final = (version_1,)


def on_cluster(address: Address) -> str:
    """Return the clause that has the servers hand a statement on; without replication we go to each of them ourselves."""
    return f" ON CLUSTER `{address.cluster}`" if address.replicated else ""


def engine(address: Address, table: str) -> str:
    """Return the engine of a table that keeps the newest revision."""
    if address.replicated:
        path = f"/clickhouse/tables/{{shard}}/{address.database}/{table}"
        return f"ReplicatedReplacingMergeTree('{path}', '{{replica}}', revision)"
    return "ReplacingMergeTree(revision)"


def _table(table: Table, address: Address) -> list[str]:
    layout, local = _LAYOUTS[table.name], stored_in(table, address)
    columns = ", ".join(_column(column) for column in table.columns)
    window = "replicated_deduplication_window" if address.replicated else "non_replicated_deduplication_window"
    create = (
        f"CREATE TABLE IF NOT EXISTS {local}{on_cluster(address)} ({columns}) ENGINE = {engine(address, table.name)}"
    )
    partition = f" PARTITION BY {layout.year}" if layout.year else ""
    order = f" ORDER BY ({', '.join(layout.order)}) SETTINGS {window} = {REMEMBERED_INSERTS}"
    statements = [create + partition + order]
    if address.cluster:
        over = f"Distributed(`{address.cluster}`, {address.database}, {table.name}_local, cityHash64(install_id))"
        name = f"{address.database}.{table.name}{on_cluster(address)}"
        statements.append(f"CREATE TABLE IF NOT EXISTS {name} AS {local} ENGINE = {over}")
    return statements


def _column(column: Column[object]) -> str:
    if isinstance(column.type, BigInteger):
        kind, codec = "Int64", "Delta, ZSTD"
    elif isinstance(column.type, Integer):
        kind, codec = "Int32", "ZSTD"
    else:
        kind, codec = (
            "LowCardinality(String)" if column.name in _FEW_VALUES and not column.nullable else "String",
            "ZSTD",
        )
    if column.nullable:
        kind = f"Nullable({kind})"
    return f"{column.name} {kind} CODEC({codec})"
