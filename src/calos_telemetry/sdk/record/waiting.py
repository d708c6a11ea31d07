"""What is in the spool and not in the database yet: in events by process, or in bytes, which is known at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.spool import is_owned, spool_files
from calos_telemetry.store.install_tables import spool_cursors


@dataclass(frozen=True, slots=True)
class Waiting:
    """The events of one process that wait to be drained; a process that is not alive left them behind."""

    pid: int
    alive: bool
    events: int


def waiting(directory: Path, engine: Engine) -> list[Waiting]:
    """Return what waits of each process, the living first; one of which nothing waits has no entry unless it lives."""
    positions = _positions(engine)
    events: Counter[tuple[bool, int]] = Counter()
    for path in spool_files(directory):
        header = frames.read_header(path)
        if not isinstance(header, frames.BadHeader):
            events[is_owned(path), header.pid] += _events(path, positions)
    return [
        Waiting(pid, alive, number)
        for (alive, pid), number in sorted(events.items(), key=lambda entry: (not entry[0][0], entry[0][1]))
        if alive or number
    ]


def pending(directory: Path, engine: Engine) -> int:
    """Return how many spooled events are not in the database yet."""
    positions = _positions(engine)
    return sum(_events(path, positions) for path in spool_files(directory))


def waiting_bytes(directory: Path, engine: Engine) -> int:
    """Return how many bytes of the spool are not in the database yet; no file is read for it."""
    positions = _positions(engine)
    return sum(path.stat().st_size - positions.get(path.stem, frames.HEADER_SIZE) for path in spool_files(directory))


def _positions(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(select(spool_cursors.c.file_id, spool_cursors.c.position)).all()
    return {row.file_id: row.position for row in rows}


def _events(path: Path, positions: dict[str, int]) -> int:
    records = frames.read_records(path, positions.get(path.stem, 0))
    return sum(record.kind == frames.EVENT for record in records)
