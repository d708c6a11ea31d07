"""telemetry_errors: failures, deduplicated by fingerprint.

Message, stack, template, method and status are those of the occurrence that happened first; of several in the same millisecond
the least.  So the row is the same in whatever order the events arrive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from calos_telemetry.contract.events import ErrorEvent
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.limits import MAX_ERRORS, OTHER, beyond
from calos_telemetry.store.install_tables import sightings
from calos_telemetry.store.tables import errors
from calos_telemetry.store.upserts import How, add_up

MESSAGE = "message"
"""The kind of a sighting that is about the message of a failure."""

OVERFLOW = "0" * 16
"""The fingerprint of all failures that the table has no room for."""

_LOOKUP = 400  # fingerprints per query: SQLite allows 999 parameters where it is old
_HOW: dict[str, How] = {
    "message": "replace",
    "stack": "replace",
    "path": "replace",
    "method": "replace",
    "status_code": "replace",
    "occurrence_count": "add",
    "first_seen_at": "least",
    "last_seen_at": "greatest",
    "revision": "replace",
}

First = tuple[int, str, str, str, str, int]
"""An occurrence, to be compared: when (unix ms), message, stack, template and method or nothing, status or -1."""


@dataclass(slots=True)
class _Failure:
    """What a batch holds of one fingerprint."""

    event: ErrorEvent
    first: First
    last: int
    count: int = 1

    def add(self, at: int, error: ErrorEvent) -> None:
        self.first = min(self.first, _occurrence(at, error))
        self.last = max(self.last, at)
        self.count += 1


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's failures to ``telemetry_errors``."""
    arrived = [(at, error, fingerprint(error)) for at, error in batch.of(ErrorEvent)]
    overflow = _overflow(connection, batch.install_id, {mark for _, _, mark in arrived})
    failures: dict[str, _Failure] = {}
    for at, event, mark in arrived:
        error, mark = (_NAMELESS, OVERFLOW) if mark in overflow else (event, mark)  # noqa: PLW2901 - the same failure
        if mark in failures:
            failures[mark].add(at, error)
        else:
            failures[mark] = _Failure(error, _occurrence(at, error), at)
    replaced = []
    for mark, first in _stored(connection, batch.install_id, failures):
        if failures[mark].first < first:
            replaced += [mark] if failures[mark].first[1] != first[1] else []
        else:
            failures[mark].first = first
    _forget_sightings(connection, replaced)
    add_up(connection, errors, [_row(batch, mark, failure) for mark, failure in failures.items()], _HOW)


def fingerprint(error: ErrorEvent) -> str:
    """Return what tells failures apart: type, class, innermost frame and the router's template, hashed to 16 hex digits.

    The vendor could find a template again by trying, so a guessed one, which may be kept back, is no part of it.
    """
    frames = error.stack.split("\n")[1:2]
    parts = (error.category, error.name, *frames, "" if error.inferred else error.path or "")
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:16]


_NAMELESS = ErrorEvent(category="other", name=OTHER)


def _occurrence(at: int, error: ErrorEvent) -> First:
    return (
        at,
        error.message,
        error.stack,
        error.path or "",
        error.method or "",
        -1 if error.status is None else error.status,
    )


def _stored(connection: Connection, install_id: str, marks: Iterable[str]) -> Iterator[tuple[str, First]]:
    """Yield the first occurrences that are in the database already."""
    column = errors.c
    first = (column.first_seen_at, column.message, column.stack, column.path, column.method, column.status_code)
    query = select(column.fingerprint, *first).where(column.install_id == install_id)
    listed = list(marks)
    for start in range(0, len(listed), _LOOKUP):
        some = column.fingerprint.in_(listed[start : start + _LOOKUP])
        for mark, at, message, stack, path, method, status in connection.execute(query.where(some)).all():
            yield mark, (at, message, stack, path or "", method or "", -1 if status is None else status)


def _overflow(connection: Connection, install_id: str, arrived: set[str]) -> set[str]:
    """Return the fingerprints that the table has no room for."""
    own = errors.c.install_id == install_id
    there = connection.scalar(select(func.count()).select_from(errors).where(own)) or 0
    if there + len(arrived) <= MAX_ERRORS:
        return set()
    known = set(connection.scalars(select(errors.c.fingerprint).where(own))) - {OVERFLOW}
    return beyond(arrived, known, MAX_ERRORS)


def _forget_sightings(connection: Connection, marks: list[str]) -> None:
    """Forget how often a message was seen that another one replaces: the new one has yet to become common."""
    for mark in marks:
        seen = (sightings.c.kind == MESSAGE) & (sightings.c.subject == mark)
        connection.execute(delete(sightings).where(seen))


def _row(batch: Batch, mark: str, failure: _Failure) -> dict[str, Any]:
    at, message, stack, path, method, status = failure.first
    return {
        "install_id": batch.install_id,
        "fingerprint": mark,
        "type": failure.event.category,
        "name": failure.event.name,
        "message": message,
        "stack": stack,
        "path": path or None,
        "method": method or None,
        "status_code": None if status < 0 else status,
        "occurrence_count": failure.count,
        "first_seen_at": at,
        "last_seen_at": failure.last,
        "revision": batch.revision,
    }
