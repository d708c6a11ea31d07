"""Events as they are kept: what many have in common once, and beside it a short row for each.

Plain rows took 4.1 MB for 10,000 events, and most of it was the same few hundred texts again and again.  The view
``telemetry_events`` puts each event together again (``docs/decisions/0012-compact-events.md``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from calos_telemetry.clock import day_of
from calos_telemetry.store.bulk import insert_bulk
from calos_telemetry.store.event_shapes import Number, Part, take_apart
from calos_telemetry.store.tables import event_parts, event_rows

_LOOKUP = 400  # rows per query: SQLite allows 999 parameters where it is old

Row = tuple[int, bytes, int, Number, Number, Number, Number, Number, Number, bytes | None, bytes | None, str | None]
"""When (unix ms), id, numbers of the part and of the client, and ``event_shapes.Columns``: the columns of the table."""


class EventRow(NamedTuple):
    """An event to be kept: its id in hex digits, when it happened (unix ms), its type, its fields."""

    event_id: str
    at: int
    event_type: str
    fields: Mapping[str, Any]


def write_events(connection: Connection, install_id: str, events: Sequence[EventRow]) -> None:
    """Store ``events``, none of which is stored yet."""
    taken = [take_apart(event.event_type, event.fields) for event in events]
    used = LastUse()
    for event, pieces in zip(events, taken, strict=True):
        used.note(pieces.part, event.at)
        used.note(pieces.client, event.at)
    numbers = number_parts(connection, install_id, used)
    insert_rows(
        connection,
        [
            (event.at, bytes.fromhex(event.event_id), numbers[part], client and numbers[client], *columns)
            for event, (part, client, columns) in zip(events, taken, strict=True)
        ],
    )


def insert_rows(connection: Connection, rows: list[Row]) -> None:
    """Insert rows in the order of time, which is that of the table: any other takes twice as long."""
    rows.sort(key=_when)
    insert_bulk(connection, event_rows, rows)


def _when(row: Row) -> int:
    return row[0]


class LastUse(dict[Part, int]):
    """Part → the day (since 1970-01-01) on which it is used last."""

    def note(self, part: Part | None, at: int) -> None:
        """Note that an event of ``at`` (unix ms) has the part."""
        if part is not None and self.get(part, -1) < day_of(at):
            self[part] = day_of(at)


def known_ids(connection: Connection, keys: Sequence[tuple[int, str]]) -> set[str]:
    """Return which of the events named by ``(unix ms, id)`` are stored already."""
    newest = connection.scalar(select(func.max(event_rows.c.created_at)))
    if newest is None or not keys or newest < min(at for at, _ in keys):
        return set()
    wanted = {(at, bytes.fromhex(event_id)) for at, event_id in keys}
    column = event_rows.c
    found: set[str] = set()
    for some in _some(sorted({at for at, _ in keys})):  # for pairs SQLite would read the whole table
        rows = connection.execute(select(column.created_at, column.event_id).where(column.created_at.in_(some)))
        found.update(bytes(id_).hex() for at, id_ in rows if (at, bytes(id_)) in wanted)
    return found


def number_parts(connection: Connection, install_id: str, used: Mapping[Part, int]) -> dict[Part, int]:
    """Return the number of each part; new ones are stored, and those that are used again live longer."""
    marks = {_mark(install_id, part): part for part in used}
    numbers: dict[Part, int] = {}
    older: list[dict[str, int]] = []
    for some in _some(list(marks)):
        query = select(event_parts.c.mark, event_parts.c.id, event_parts.c.used_on).where(event_parts.c.mark.in_(some))
        for mark, number, used_on in connection.execute(query):
            part = marks.pop(mark)
            numbers[part] = number
            older += [{"number": number, "day": used[part]}] if used_on < used[part] else []
    if older:
        mine = event_parts.c.id == bindparam("number")
        connection.execute(update(event_parts).where(mine).values(used_on=bindparam("day")), older)
    numbers.update(_new_parts(connection, install_id, marks, used))
    return numbers


def _new_parts(
    connection: Connection, install_id: str, marks: Mapping[int, Part], used: Mapping[Part, int]
) -> dict[Part, int]:
    """Store parts that nobody had before; one writer at a time, so the next numbers are free."""
    if not marks:
        return {}
    last = connection.scalar(select(func.max(event_parts.c.id))) or 0
    numbers = {part: number for number, part in enumerate(marks.values(), last + 1)}
    new = [
        {
            "id": numbers[part],
            "mark": mark,
            "install_id": install_id,
            "event_type": part[0],
            "data": part[1],
            "used_on": used[part],
        }
        for mark, part in marks.items()
    ]
    connection.execute(insert(event_parts), new)
    return numbers


def _mark(install_id: str, part: Part) -> int:
    digest = hashlib.sha256("\x00".join((install_id, *part)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _some(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _LOOKUP):
        yield items[start : start + _LOOKUP]
