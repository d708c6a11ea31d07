"""Spool → database, exactly once: rows and the cursor of their file advance in one transaction.

The order of the steps is the proof (each has a test that breaks it on purpose):

1. one drain at a time, elected by a lock on the spool directory;
2. whether a file's owner still lives is asked before the file is read: a file found dead cannot grow any more;
3. events, rollups, books and cursor are committed together;
4. only then a dead file is removed, and its cursor stays behind, so that a file that comes back (a crash before its
   removal reached the disk, a restored backup) is not counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DataError, IntegrityError

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.events import from_record
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.spool import DrainLock, adopt_leftovers, is_owned, remove, spool_files
from calos_telemetry.sdk.record.storing import DROPPED, count, store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import spool_cursors
from calos_telemetry.store.upserts import add_up

EVENTS_PER_TRANSACTION = 5_000
MAX_UNSTORABLE = 20
"""Records that one drain may give up; more of them is a mistake of ours, and the rest waits for its correction."""
CURSOR_KEPT_MS = 7 * MS_PER_DAY
_QUARANTINE = "unreadable"
_LATEST = 253_402_300_800_000  # the year 10000, unix ms: no calendar of ours goes on
_UNSTORABLE = (DataError, IntegrityError, ArithmeticError, LookupError, TypeError, ValueError)
"""What an event brings about that no database can hold, in contrast to a database that cannot hold anything now."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did; ``elected`` is false when another process was draining at that moment."""

    elected: bool
    events: int = 0
    files: int = 0


class Drain:
    """Moves what all processes of the install have spooled into the install's database."""

    def __init__(self, directory: Path, engine: Engine, install_id: str, policy: Policy) -> None:
        self._directory = directory
        self._engine = engine
        self._install_id = install_id
        self._policy = policy
        self._unstorable = 0

    def run(self, *, patience: float = 0.0) -> Drained:
        """Drain every file; wait up to ``patience`` seconds for another drain to finish.

        Raises ``OSError`` or SQLAlchemy's errors when the disk or the database fails: what was committed stays
        committed, the rest stays in the spool for the next time.
        """
        with DrainLock(self._directory, timeout=patience) as elected:
            if not elected:
                return Drained(elected=False)
            adopt_leftovers(self._directory)
            files = spool_files(self._directory)
            self._unstorable = 0
            events = sum(self._drain_file(path) for path in files)
            self._forget_old_cursors()
            return Drained(elected=True, events=events, files=len(files))

    def _drain_file(self, path: Path) -> int:
        owned = is_owned(path)  # before reading, never after
        header = frames.read_header(path)
        if isinstance(header, frames.BadHeader):
            self._set_aside(path, header, owned=owned)
            return 0
        events = 0
        reading = frames.read_records(path, self._position(header))
        while records := list(islice(reading, EVENTS_PER_TRANSACTION)):
            events += self._store(header, records)
        if not owned:
            self._count_torn(path, header)
            remove(path)
        return events

    def _store(self, header: frames.Header, records: list[frames.Record]) -> int:
        """Store records in one transaction; where one of them cannot be stored, the others all the same."""
        try:
            with writing(self._engine) as connection:
                return self._store_in(connection, header, records)
        except _UNSTORABLE:
            if len(records) > 1:
                half = len(records) // 2
                return self._store(header, records[:half]) + self._store(header, records[half:])
            if self._unstorable >= MAX_UNSTORABLE:
                raise
        self._unstorable += 1
        with writing(self._engine) as connection:
            count(connection, DROPPED + "unstorable", 1)
            self._advance(connection, header, records[-1].offset_end)
        return 0

    def _store_in(self, connection: Connection, header: frames.Header, records: list[frames.Record]) -> int:
        stored = 0
        arrived = [record for record in records if record.kind == frames.EVENT]
        if self._policy.store().allowed:
            readable = list(_read(header, arrived))
            stored = store_events(connection, self._install_id, readable)
            count(connection, DROPPED + "undecodable", len(arrived) - len(readable))
        else:
            count(connection, DROPPED + "policy", len(arrived))
        for record in records:
            if record.kind == frames.LOSSES:
                for reason, number in frames.decode_losses(record.payload).items():
                    count(connection, DROPPED + reason[:40], number)
        self._advance(connection, header, records[-1].offset_end)
        return stored

    def _advance(self, connection: Connection, header: frames.Header, position: int) -> None:
        row = {"file_id": header.file_id.hex(), "position": position, "drained_at": now_ms()}
        add_up(connection, spool_cursors, [row], {"position": "greatest", "drained_at": "replace"})

    def _position(self, header: frames.Header) -> int:
        query = select(spool_cursors.c.position).where(spool_cursors.c.file_id == header.file_id.hex())
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def _count_torn(self, path: Path, header: frames.Header) -> None:
        """Count the record that its writer was killed in the middle of: the only one a SIGKILL can cost."""
        position = max(self._position(header), frames.HEADER_SIZE)
        if path.stat().st_size > position:
            with writing(self._engine) as connection:
                count(connection, DROPPED + frames.TORN, 1)
                self._advance(connection, header, path.stat().st_size)

    def _set_aside(self, path: Path, problem: frames.BadHeader, *, owned: bool) -> None:
        """Keep what we cannot read for a person to look at; only a file that never held anything is removed."""
        if owned:
            return
        if problem.reason == "blank":
            remove(path)
        elif problem.reason != "version":  # a newer release on this machine will read it
            path.rename(path.with_suffix(f".{_QUARANTINE}"))

    def _forget_old_cursors(self) -> None:
        old = spool_cursors.c.drained_at < now_ms() - CURSOR_KEPT_MS
        with self._engine.connect() as connection:
            if connection.scalar(select(spool_cursors.c.file_id).where(old).limit(1)) is None:
                return
        alive = {path.stem for path in spool_files(self._directory)}
        with writing(self._engine) as connection:
            connection.execute(delete(spool_cursors).where(old, spool_cursors.c.file_id.not_in(alive)))


def _read(header: frames.Header, records: list[frames.Record]) -> Iterator[Stored]:
    for record in records:
        try:
            at, event = from_record(record.payload)
        except ValueError:  # msgspec's errors are ValueErrors too
            continue
        if at >= _LATEST:
            continue
        yield Stored(frames.event_id(header.file_id, record.offset), at, event)


def pending(directory: Path, engine: Engine) -> int:
    """Return how many spooled events are not in the database yet."""
    with engine.connect() as connection:
        positions = dict(connection.execute(select(spool_cursors.c.file_id, spool_cursors.c.position)).all())
    return sum(
        record.kind == frames.EVENT
        for path in spool_files(directory)
        for record in frames.read_records(path, positions.get(path.stem, 0))
    )
