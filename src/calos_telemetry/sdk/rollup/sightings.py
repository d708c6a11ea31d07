"""telemetry_sightings: how often, and by how many users, a text was seen that no router and no declaration vouches for.

A guessed template or an exception's message may hold what only one person has: an obfuscator cannot know every name.
What few have seen is therefore kept on the install (``sdk.report.rare``) until it has been seen ``COMMON`` times and,
where users are known, by as many of them.  The rows that it stands in are then marked as changed, so that the next
report brings them whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.counters import COUNTERS
from calos_telemetry.contract.events import ErrorEvent
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.errors import MESSAGE, fingerprint
from calos_telemetry.store.install_tables import sightings
from calos_telemetry.store.tables import aggregates, errors, performance
from calos_telemetry.store.upserts import How, add_up

__all__ = ["COMMON", "FROM_THE_START", "MESSAGE", "PATH", "TEMPLATE_COUNTERS", "forget_unused", "roll_up"]

COMMON = 3
"""From so many sightings on, and so many users where users are known, a text is nobody's own."""

PATH = "path"
FROM_THE_START = 1  # a revision below every real one: it was never kept back
TEMPLATE_COUNTERS = frozenset(counter.name for counter in COUNTERS if counter.key == "template")

_USERS_KEPT_MS = 90 * MS_PER_DAY
_LOOKUP = 400
_HOW: dict[str, How] = {
    "times": "replace",
    "users": "replace",
    "users_known": "replace",
    "common_since": "replace",
    "seen_at": "greatest",
}

Subject = tuple[str, str]
"""The kind of a text, and the template itself or the fingerprint of the failure whose message it is."""


@dataclass(slots=True)
class _Sighting:
    times: int = 0
    users: set[str] = field(default_factory=set)
    users_known: bool = False
    seen_at: int = 0

    def add(self, at: int, times: int, user: str | None) -> None:
        self.times += times
        self.seen_at = max(self.seen_at, at)
        self.users_known |= user is not None
        if user is not None and len(self.users) < COMMON:
            self.users.add(user)

    @property
    def common(self) -> bool:
        return self.times >= COMMON and (not self.users_known or len(self.users) >= COMMON)


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's sightings; call it behind the rollups whose rows it marks."""
    seen = _paths(batch)
    seen.update(_messages(connection, batch))
    rows, newly_common = [], []
    known = dict(_known(connection, seen))
    for subject, sighting in seen.items():
        before = known.get(subject)
        if before is not None and before.common_since:
            continue
        if before is not None:
            _join(sighting, before)
        since = 0
        if sighting.common:
            since = FROM_THE_START if before is None else batch.revision
            newly_common += [subject[1]] if before is not None and subject[0] == PATH else []
        rows.append(_row(subject, sighting, since))
    add_up(connection, sightings, rows, _HOW)
    _mark_changed(connection, batch, newly_common)
    _forget_users(connection, batch)


def forget_unused(connection: Connection, before: int) -> None:
    """Forget templates last noted ``before`` (unix ms) that no row holds any more; such a one that comes again is rare."""
    keyed = aggregates.c.counter.in_(TEMPLATE_COUNTERS)
    held = (
        select(performance.c.path),
        select(errors.c.path).where(errors.c.path.is_not(None)),
        select(aggregates.c.key).where(keyed),
    )
    unused = (sightings.c.subject.not_in(rows) for rows in held)
    connection.execute(delete(sightings).where(sightings.c.kind == PATH, sightings.c.seen_at < before, *unused))


def _paths(batch: Batch) -> dict[Subject, _Sighting]:
    """Count guessed templates by their requests; a failure only notes that its template is a guess."""
    seen: dict[Subject, _Sighting] = {}
    for like, requests in batch.alike:
        if like.inferred:
            sighting = seen.setdefault((PATH, like.path), _Sighting())
            for asked in requests:
                sighting.add(asked.at, 1, asked.event.user)
    for at, error in batch.of(ErrorEvent):
        if error.inferred and error.path is not None:
            seen.setdefault((PATH, error.path), _Sighting()).add(at, 0, error.user)
    return seen


def _messages(connection: Connection, batch: Batch) -> dict[Subject, _Sighting]:
    """Count how often the message that stands in a failure's row was seen; other messages of it are not kept."""
    failures = [(fingerprint(error), at, error) for at, error in batch.of(ErrorEvent)]
    column = errors.c
    query = select(column.fingerprint, column.message).where(column.install_id == batch.install_id)
    stored: dict[str, str] = {}
    for marks in _some({mark for mark, _, _ in failures}):
        stored |= {row[0]: row[1] for row in connection.execute(query.where(column.fingerprint.in_(marks)))}
    seen: dict[Subject, _Sighting] = {}
    for mark, at, error in failures:
        if error.message and error.message == stored.get(mark):
            seen.setdefault((MESSAGE, mark), _Sighting()).add(at, 1, error.user)
    return seen


def _known(connection: Connection, subjects: Iterable[Subject]) -> Iterator[tuple[Subject, Any]]:
    for kind in (PATH, MESSAGE):
        for some in _some(subject for one, subject in subjects if one == kind):
            column = sightings.c
            query = select(sightings).where(column.kind == kind, column.subject.in_(some))
            for row in connection.execute(query):
                yield (row.kind, row.subject), row


def _join(sighting: _Sighting, before: Any) -> None:
    sighting.times += before.times
    sighting.users_known |= bool(before.users_known)
    sighting.users = set(sorted(sighting.users | set(before.users.split()))[:COMMON])


def _row(subject: Subject, sighting: _Sighting, common_since: int) -> dict[str, Any]:
    """Return the row; who has seen a text is forgotten when it is nobody's own any more."""
    return {
        "kind": subject[0],
        "subject": subject[1],
        "times": sighting.times,
        "users": "" if common_since else " ".join(sorted(sighting.users)),
        "users_known": int(sighting.users_known),
        "common_since": common_since,
        "seen_at": sighting.seen_at,
    }


def _mark_changed(connection: Connection, batch: Batch, paths: list[str]) -> None:
    """Give the batch's revision to all rows of these templates: from now on they look different to the vendor."""
    for some in _some(paths):
        _touch(connection, batch, performance, performance.c.path.in_(some))
        _touch(connection, batch, errors, errors.c.path.in_(some))
        keyed = aggregates.c.counter.in_(TEMPLATE_COUNTERS) & aggregates.c.key.in_(some)
        _touch(connection, batch, aggregates, keyed)


def _touch(connection: Connection, batch: Batch, table: Table, those: Any) -> None:
    mine = table.c.install_id == batch.install_id
    connection.execute(update(table).where(mine, those).values(revision=batch.revision))


def _forget_users(connection: Connection, batch: Batch) -> None:
    """Forget who has seen a rare text when that is 90 days ago: no hash of a user is kept longer."""
    newest = max((stored.at for stored in batch.events), default=0)
    old = (sightings.c.seen_at < newest - _USERS_KEPT_MS) & (sightings.c.users != "")
    connection.execute(update(sightings).where(old).values(users=""))


def _some(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the items in lists that fit a query (SQLite allows 999 parameters where it is old)."""
    listed = list(items)
    for start in range(0, len(listed), _LOOKUP):
        yield listed[start : start + _LOOKUP]
