"""Moving everything the vendor has from one engine to another: in pages, interruptible, compared at the end.

After each page the place is written down under ``home``; a run that was killed goes on there.  A page that was written and
not noted is written again, which changes nothing.  The source is only read, and stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Integer, Table, func, literal, select, tuple_

from calos_telemetry import private_files
from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.server.store import VendorStore
from calos_telemetry.store.clickhouse import ClickHouse
from calos_telemetry.store.clickhouse_ddl import FLEET
from calos_telemetry.store.database import writing
from calos_telemetry.store.tables import buckets, telemetry
from calos_telemetry.store.upserts import add_up, insert_new
from calos_telemetry.store.vendor_tables import licenses_database, outbox, vendor

PAGE = 20_000
_PRIME: Final = 1_000_003  # sums are of remainders, so that no engine's integers overflow
_LEFT = {buckets, outbox}  # one is part of the schema, the other is emptied first

Step = Callable[[int], None]
"""Is told how many rows a page had."""


@dataclass(frozen=True, slots=True)
class Move:
    """One table, from where and to where; ``clickhouse`` is set where that is the target."""

    table: Table
    source: Engine
    target: Engine
    clickhouse: ClickHouse | None = None

    def write(self, rows: Sequence[Mapping[str, Any]], token: str) -> None:
        """Write a page; again changes nothing."""
        if self.clickhouse is not None:
            self.clickhouse.insert(self.table, rows, token)
            return
        keys = {column.name for column in self.table.primary_key}
        others = [column.name for column in self.table.columns if column.name not in keys]
        with writing(self.target) as connection:
            if others:
                add_up(connection, self.table, rows, dict.fromkeys(others, "replace"))
            else:
                insert_new(connection, self.table, rows)


class Places(msgspec.Struct):
    """How far a migration is: the key of the last row that was moved, of each table."""

    target: str
    last: dict[str, list[Any]] = {}


class Notes:
    """The places on the disk; those of a migration to somewhere else are not these."""

    def __init__(self, home: Path, target_url: str) -> None:
        self._file = home / "migration.places"
        target = hashlib.sha256(target_url.encode()).hexdigest()
        self.places = self._read() or Places(target)
        if self.places.target != target:
            raise SettingsError(
                f"a migration to another database was begun: finish it, or remove {self._file} to give it up"
            )
        self.begun = bool(self.places.last)

    def write(self) -> None:
        """Put the places on the disk, whole or not at all."""
        private_files.write(self._file, msgspec.msgpack.encode(self.places))

    def remove(self) -> None:
        """Forget the places: everything has arrived."""
        self._file.unlink(missing_ok=True)

    def _read(self) -> Places | None:
        try:
            return msgspec.msgpack.decode(self._file.read_bytes(), type=Places)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            raise SettingsError(f"{self._file} is damaged: remove it and begin with an empty database") from None


def moves(source: VendorStore, target: VendorStore) -> list[Move]:
    """Return what has to be moved.  Raises :class:`SettingsError` when it is all there already."""
    found = [Move(table, source.fleet, target.fleet, target.clickhouse) for table in FLEET]
    others = [table for table in (*telemetry.sorted_tables, *vendor.sorted_tables) if table not in {*FLEET, *_LEFT}]
    found += [Move(table, source.telemetry, target.telemetry) for table in others]
    found += [Move(table, source.licenses, target.licenses) for table in licenses_database.sorted_tables]
    found = [move for move in found if move.source.url != move.target.url]
    if not found:
        raise SettingsError("that is the database in use: give --to another one")
    return found


def drain(source: VendorStore) -> None:
    """Bring what still waits to ClickHouse.  Raises :class:`StoreError`."""
    while source.mover is not None and source.mover.move():
        pass


def check_empty(planned: Sequence[Move]) -> None:
    """Make sure that nothing of somebody else's is mixed up with ours.  Raises :class:`SettingsError`."""
    for move in planned:
        if count(move.target, move.table):
            raise SettingsError(f"{move.table.name} at the target holds rows already: give --to an empty database")


def count(engine: Engine, table: Table) -> int:
    """Return how many rows a table has."""
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def run(move: Move, notes: Notes, step: Step) -> None:
    """Move one table from where it stopped.  Raises :class:`StoreError`."""
    keys = [column.name for column in move.table.primary_key]
    for rows in _pages(move, notes.places.last.get(move.table.name)):
        last = [rows[-1][key] for key in keys]
        move.write(rows, _token(move.table, last, notes))
        notes.places.last[str(move.table.name)] = last
        notes.write()
        step(len(rows))


def compare(move: Move) -> None:
    """Compare counts and sums of a table.  Raises :class:`StoreError` when they differ."""
    there, here = _sums(move.target, move.table), _sums(move.source, move.table)
    wrong = [name for name in here if here[name] != there[name]]
    if wrong:
        raise StoreError(
            f"{move.table.name} differs in {', '.join(wrong)} ({here[wrong[0]]} here, {there[wrong[0]]} there): "
            "stop every license server, empty the target and migrate again"
        )


def _pages(move: Move, after: Sequence[Any] | None) -> Iterator[list[dict[str, Any]]]:
    keys = list(move.table.primary_key)
    while True:
        query = select(move.table).order_by(*keys).limit(PAGE)
        if after is not None:
            place = [literal(value, key.type) for value, key in zip(after, keys, strict=True)]
            query = query.where(tuple_(*keys) > tuple_(*place))
        with move.source.connect() as connection:
            rows = _read(connection, query)
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = [rows[-1][key.name] for key in keys]


def _read(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _token(table: Table, last: Sequence[Any], notes: Notes) -> str:
    place = msgspec.msgpack.encode([notes.places.target, str(table.name), last])
    return hashlib.sha256(place).hexdigest()


def _sums(engine: Engine, table: Table) -> dict[str, int]:
    numbers = [column for column in table.columns if isinstance(column.type, Integer)]
    query = select(func.count(), *(func.sum(column % _PRIME) for column in numbers)).select_from(table)
    with engine.connect() as connection:
        values = connection.execute(query).one()
    names = ["rows", *(column.name for column in numbers)]
    return {name: int(value or 0) for name, value in zip(names, values, strict=True)}
