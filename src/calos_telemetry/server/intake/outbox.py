"""Reports that have their receipt and wait for the way to ClickHouse.

The rows of a report are written here in the transaction of its receipt, so a receipt never promises what could still be
lost.  Why not straight into ClickHouse: no transaction spans both (``docs/decisions/0037-clickhouse.md``).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Table, delete, func, insert, select

from calos_telemetry.errors import StoreError
from calos_telemetry.store.clickhouse_ddl import FLEET
from calos_telemetry.store.database import writing
from calos_telemetry.store.vendor_tables import outbox

Rows = Mapping[Table, Sequence[Mapping[str, Any]]]

HOLDS = 100_000  # reports: with ClickHouse away for longer, installs keep theirs
_waiting = select(outbox.c.id, outbox.c.rows)
_TABLES = {table.name: table for table in FLEET}


@dataclass(frozen=True, slots=True)
class Waiting:
    """One report that waits."""

    id: int
    packed: bytes

    def rows(self) -> Rows:
        """Return its rows by table."""
        named = msgspec.json.decode(zlib.decompress(self.packed))
        return {_TABLES[name]: rows for name, rows in named.items()}


def put(connection: Connection, rows: Rows) -> None:
    """Let the rows of one report wait.  Raises :class:`StoreError` when too many wait already."""
    named = {table.name: each for table, each in rows.items() if each}
    if not named:
        return
    if _span(connection) >= HOLDS:
        raise StoreError(f"{HOLDS} reports wait for ClickHouse: see why it does not take them")
    install_id = next(row["install_id"] for each in named.values() for row in each)
    packed = zlib.compress(msgspec.json.encode(named))
    connection.execute(insert(outbox).values(install_id=install_id, size=sum(map(len, named.values())), rows=packed))


def oldest(engine: Engine, reports: int, rows: int) -> list[Waiting]:
    """Return the reports that have waited longest: at most so many, with at most so many rows, but one in any case."""
    sizes = select(outbox.c.id, outbox.c.size).order_by(outbox.c.id).limit(reports)
    with engine.connect() as connection:
        found = connection.execute(sizes).all()
        reached = accumulate(size for _, size in found)
        some = [number for (number, _), total in zip(found, reached, strict=True) if total <= rows]
        chosen = _waiting.where(outbox.c.id.in_(some or [number for number, _ in found[:1]])).order_by(outbox.c.id)
        return [Waiting(number, bytes(packed)) for number, packed in connection.execute(chosen)]


def remove(engine: Engine, reports: Sequence[Waiting]) -> None:
    """Take out what has arrived."""
    with writing(engine) as connection:
        connection.execute(delete(outbox).where(outbox.c.id.in_([report.id for report in reports])))


def forget(connection: Connection, install_id: str) -> int:
    """Take out what an install has waiting and return how many rows that was."""
    mine = outbox.c.install_id == install_id
    reports = [Waiting(number, bytes(packed)) for number, packed in connection.execute(_waiting.where(mine))]
    connection.execute(delete(outbox).where(mine))
    return sum(len(rows) for report in reports for rows in report.rows().values())


def waiting(engine: Engine) -> int:
    """Return how many reports wait, at most: from the oldest to the newest, at the cost of looking up two numbers."""
    with engine.connect() as connection:
        return _span(connection)


def _span(connection: Connection) -> int:
    first, last = connection.execute(select(func.min(outbox.c.id), func.max(outbox.c.id))).one()
    return 0 if first is None else int(last - first) + 1
