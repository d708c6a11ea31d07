"""Which lines of which logs were ever imported: 8 bytes of a keyed hash each, kept for ever.

The events themselves go after 90 days, and a log of last year may be imported again at any time.
See ``docs/decisions/0013-imported-lines.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from calos_telemetry.store.tables import log_lines
from calos_telemetry.store.upserts import insert_new

DIGITS = 16
"""How many hex digits name a line."""

_LOOKUP = 900  # ids per query: SQLite allows 999 parameters where it is old


def known_lines(connection: Connection, lines: Sequence[str]) -> Iterator[str]:
    """Yield those of ``lines`` (16 hex digits each) that were imported before."""
    for start in range(0, len(lines), _LOOKUP):
        wanted = {number_of(line): line for line in lines[start : start + _LOOKUP]}
        for number in connection.scalars(select(log_lines.c.id).where(log_lines.c.id.in_(wanted))).all():
            yield wanted[number]


def remember_lines(connection: Connection, lines: Sequence[str]) -> None:
    """Note that ``lines`` are imported."""
    insert_new(connection, log_lines, [{"id": number} for number in sorted(map(number_of, lines))])


def number_of(line: str) -> int:
    """Return the id of a line as a signed 64-bit number."""
    return int.from_bytes(bytes.fromhex(line), "big", signed=True)
