"""Spool → database, exactly once: rows and the cursor of their file advance in one transaction.

The order of the steps is the proof (each has a test that breaks it on purpose):

1. one drain at a time, elected by a lock on the spool directory;
2. whether a file's owner still lives is asked before the file is read: a file found dead cannot grow any more;
3. events, rollups, books and the cursors of their files are committed together;
4. only then a dead file is removed, and its cursor stays behind, so that a file that comes back (a crash before its
   removal reached the disk, a restored backup) is not counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DataError, IntegrityError

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.events import from_record
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.spool import DrainLock, adopt_leftovers, is_owned, remove, spool_files
from calos_telemetry.sdk.record.storing import DROPPED, count, restricted, store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.settings import EVENTS_PER_DAY
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import spool_cursors
from calos_telemetry.store.upserts import add_up

EVENTS_PER_TRANSACTION = 20_000
"""So many share the reading and writing of the rows they are folded into; they take 20 MB and a third of a second."""
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


@dataclass(slots=True)
class _Load:
    """What goes into the database next: records, and the files of the dead whose last record is among them."""

    records: list[frames.Record] = field(default_factory=list)
    finished: list[tuple[frames.Header, Path]] = field(default_factory=list)


class Drain:
    """Moves what all processes of the install have spooled into the install's database."""

    def __init__(
        self, directory: Path, engine: Engine, install_id: str, policy: Policy, events_per_day: int = EVENTS_PER_DAY
    ) -> None:
        self._directory = directory
        self._engine = engine
        self._install_id = install_id
        self._policy = policy
        self._events_per_day = events_per_day
        self._unstorable = 0
        self._events = 0
        self._load = _Load()

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
            self._events = 0
            self._load = _Load()
            try:
                for path in files:
                    self._read(path)
            finally:  # a file that cannot be read does not hold up those before it
                self._deliver()
            self._forget_old_cursors()
            return Drained(elected=True, events=self._events, files=len(files))

    def _read(self, path: Path) -> None:
        owned = is_owned(path)  # before reading, never after
        header = frames.read_header(path)
        if isinstance(header, frames.BadHeader):
            self._set_aside(path, header, owned=owned)
            return
        for record in frames.read_records(path, self._position(header)):
            self._load.records.append(record)
            if len(self._load.records) >= EVENTS_PER_TRANSACTION:
                self._deliver()
        if not owned:
            self._load.finished.append((header, path))

    def _deliver(self) -> None:
        """Store what was read, and remove the files of the dead that are stored whole."""
        load, self._load = self._load, _Load()
        if load.records:
            self._events += self._store(load.records)
        for header, path in load.finished:
            self._count_torn(path, header)
            remove(path)

    def _store(self, records: list[frames.Record]) -> int:
        """Store records in one transaction; where one of them cannot be stored, the others all the same."""
        try:
            with writing(self._engine) as connection:
                return self._store_in(connection, records)
        except _UNSTORABLE:
            if len(records) > 1:
                half = len(records) // 2
                return self._store(records[:half]) + self._store(records[half:])
            if self._unstorable >= MAX_UNSTORABLE:
                raise
        self._unstorable += 1
        with writing(self._engine) as connection:
            count(connection, DROPPED + "unstorable", 1)
            self._advance(connection, records)
        return 0

    def _store_in(self, connection: Connection, records: list[frames.Record]) -> int:
        stored = 0
        arrived = [record for record in records if record.kind == frames.EVENT]
        if self._policy.store().allowed:
            readable = list(_decoded(arrived))
            allowed = restricted(readable, self._policy.file.restrictions)
            stored = store_events(connection, self._install_id, allowed, self._events_per_day)
            count(connection, DROPPED + "undecodable", len(arrived) - len(readable))
            count(connection, DROPPED + "policy", len(readable) - len(allowed))
        else:
            count(connection, DROPPED + "policy", len(arrived))
        for record in records:
            if record.kind == frames.LOSSES:
                for reason, number in frames.decode_losses(record.payload).items():
                    count(connection, DROPPED + reason[:40], number)
        self._advance(connection, records)
        return stored

    def _advance(self, connection: Connection, records: list[frames.Record]) -> None:
        """Move the cursor of each file behind the last of its records."""
        self._put_cursors(connection, {record.file_id: record.offset_end for record in records})

    def _put_cursors(self, connection: Connection, ends: Mapping[bytes, int]) -> None:
        now = now_ms()
        rows = [{"file_id": file.hex(), "position": end, "drained_at": now} for file, end in ends.items()]
        add_up(connection, spool_cursors, rows, {"position": "greatest", "drained_at": "replace"})

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
                self._put_cursors(connection, {header.file_id: path.stat().st_size})

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


def _decoded(arrived: list[frames.Record]) -> Iterator[Stored]:
    for record in arrived:
        try:
            at, event = from_record(record.payload)
        except ValueError:  # msgspec's errors are ValueErrors too
            continue
        if at >= _LATEST:
            continue
        yield Stored(record.event_id, at, event)
