"""How an event is taken apart to be kept: what it has in common with many others, and what it has of its own.

Nothing here touches a database; ``store.event_rows`` writes the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

CLIENT = "client"
_NUMBERS = ("duration_us", "request_bytes", "response_bytes", "database_us", "database_queries")
_HASHES = ("session", "user")
_COLUMNS = {name: place for place, name in enumerate((*_NUMBERS, *_HASHES))}
_OF_CLIENT = frozenset({"browser", "os", "country"})
_CLOSED_NUMBERS = frozenset({"status"})
_HASH = re.compile(r"[0-9a-f]{16}")
_LARGEST = 2**63 - 1
_to_json = msgspec.json.Encoder().encode

Part = tuple[str, str]
"""What events have in common: the type of the event (or ``client``), and the JSON."""

Number = int | None
Columns = tuple[Number, Number, Number, Number, Number, bytes | None, bytes | None, str | None]
"""What an event has of its own: duration in µs, bytes in and out, time in the database (µs) and queries, hash of the
session and of the user, the rest as JSON."""


class Pieces(NamedTuple):
    """An event by where its fields are kept: in common with others, with others of its client, or of its own."""

    part: Part
    client: Part | None
    columns: Columns


def take_apart(event_type: str, fields: Mapping[str, Any]) -> Pieces:
    """Return the fields of an event by where they are kept."""
    part: dict[str, Any] = {}
    client: dict[str, Any] = {}
    columns: list[Any] = [None] * len(_COLUMNS)
    rest: dict[str, Any] = {}
    for name, value in fields.items():
        kind = type(value)
        if name in _OF_CLIENT:
            client[name] = value
        elif name in _HASHES and kind is str and is_hash(value):
            columns[_COLUMNS[name]] = bytes.fromhex(value)
        elif kind is str or kind is bool or name in _CLOSED_NUMBERS:
            part[name] = value
        elif name in _NUMBERS and kind is int and 0 <= value <= _LARGEST:
            columns[_COLUMNS[name]] = value
        elif _varies(value):
            rest[name] = value
        else:
            part[name] = value
    duration, size_in, size_out, database, queries, session, user = columns
    own = (duration, size_in, size_out, database, queries, session, user, _text(rest) if rest else None)
    return Pieces((event_type, _text(part)), (CLIENT, _text(client)) if client else None, own)


def is_hash(value: str) -> bool:
    """Whether a text is the 16 hex digits of a keyed hash."""
    return _HASH.fullmatch(value) is not None


def _text(fields: Mapping[str, Any]) -> str:
    return _to_json(fields).decode()


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
