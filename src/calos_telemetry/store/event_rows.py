"""Events as they are kept: what many have in common once, and beside it a short row for each.

Plain rows took 4.1 MB for 10,000 events, and most of it was the same few hundred texts again and again.  The view
``telemetry_events`` puts each event together again (``docs/decisions/0012-compact-events.md``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, tuple_, update

from calos_telemetry.clock import day_of
from calos_telemetry.store.bulk import insert_bulk
from calos_telemetry.store.tables import event_parts, event_rows

CLIENT = "client"
_LOOKUP = 400  # rows per query: SQLite allows 999 parameters where it is old
_NUMBERS = frozenset({"duration_us", "request_bytes", "response_bytes"})
_HASHES = frozenset({"session", "user"})
_COLUMNS = {"duration_us": 0, "request_bytes": 1, "response_bytes": 2, "session": 3, "user": 4}
_OF_CLIENT = frozenset({"browser", "os", "country"})
_CLOSED_NUMBERS = frozenset({"status"})
_HASH = re.compile(r"[0-9a-f]{16}")
_LARGEST = 2**63 - 1
_to_json = msgspec.json.Encoder().encode

Part = tuple[str, str]
"""What events have in common: the type of the event (or ``client``), and the JSON."""


class EventRow(NamedTuple):
    """An event to be kept: its id in hex digits, when it happened (unix ms), its type, its fields."""

    event_id: str
    at: int
    event_type: str
    fields: Mapping[str, Any]


class Split(NamedTuple):
    """The fields of an event: what it has in common with others, its columns, and what only it has."""

    part: dict[str, Any]
    client: dict[str, Any]
    columns: list[Any]
    rest: dict[str, Any]


def write_events(connection: Connection, install_id: str, events: Sequence[EventRow]) -> None:
    """Store ``events``, none of which is stored yet."""
    splits = [split(event.fields) for event in events]
    parts = [(event.event_type, _to_json(one.part).decode()) for event, one in zip(events, splits, strict=True)]
    clients = [(CLIENT, _to_json(one.client).decode()) if one.client else None for one in splits]
    numbers = _numbers_of(connection, install_id, _used(events, parts, clients))
    rows = [
        (
            event.at,
            bytes.fromhex(event.event_id),
            numbers[part],
            None if client is None else numbers[client],
            *one.columns,
            _to_json(one.rest).decode() if one.rest else None,
        )
        for event, one, part, client in zip(events, splits, parts, clients, strict=True)
    ]
    insert_bulk(connection, event_rows, rows)


def known_ids(connection: Connection, keys: Sequence[tuple[int, str]]) -> set[str]:
    """Return which of the events named by ``(unix ms, id)`` are stored already."""
    newest = connection.scalar(select(func.max(event_rows.c.created_at)))
    if newest is None or not keys or newest < min(at for at, _ in keys):
        return set()
    found: set[str] = set()
    both = tuple_(event_rows.c.created_at, event_rows.c.event_id)
    for some in _some([(at, bytes.fromhex(event_id)) for at, event_id in keys]):
        found.update(id_.hex() for id_ in connection.scalars(select(event_rows.c.event_id).where(both.in_(some))))
    return found


def split(fields: Mapping[str, Any]) -> Split:
    """Return the fields of an event by where they are kept."""
    done = Split({}, {}, [None] * len(_COLUMNS), {})
    for name, value in fields.items():
        kind = type(value)
        if name in _OF_CLIENT:
            done.client[name] = value
        elif name in _HASHES and kind is str and _HASH.fullmatch(value):
            done.columns[_COLUMNS[name]] = bytes.fromhex(value)
        elif kind is str or kind is bool or name in _CLOSED_NUMBERS:
            done.part[name] = value
        elif name in _NUMBERS and kind is int and 0 <= value <= _LARGEST:
            done.columns[_COLUMNS[name]] = value
        elif _varies(value):
            done.rest[name] = value
        else:
            done.part[name] = value
    return done


def _varies(value: object) -> bool:
    """Whether a value is likely another one in each event: a number, or a map that holds one.

    A map that holds a null stays in the part, because the view's merging of JSON takes nulls for deletions.
    """
    inside = list(_inside(value))
    return None not in inside and any(isinstance(one, int | float) and not isinstance(one, bool) for one in inside)


def _inside(value: object) -> Iterator[object]:
    if not isinstance(value, Mapping):
        yield value
        return
    for one in value.values():
        yield from _inside(one)


def _used(events: Sequence[EventRow], parts: Sequence[Part], clients: Sequence[Part | None]) -> dict[Part, int]:
    """Return the day on which each part is used last."""
    used: dict[Part, int] = {}
    for event, *both in zip(events, parts, clients, strict=True):
        day = day_of(event.at)
        for one in both:
            if one is not None and used.get(one, -1) < day:
                used[one] = day
    return used


def _numbers_of(connection: Connection, install_id: str, used: Mapping[Part, int]) -> dict[Part, int]:
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
