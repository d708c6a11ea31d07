"""What a drain would find in a spool directory, for the tests to compare with what was handed in."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from calos_telemetry.sdk.record import frames, spool
from calos_telemetry.sdk.record.spool import Spool


@dataclass
class Found:
    """All that the files of a directory hold."""

    events: list[bytes] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    files: int = 0
    torn: int = 0
    excused: int = 0  # torn tails whose writer lived to say that no event was lost by them


def found_in(directory: Path) -> Found:
    """Read every spool file, as the drain does."""
    found = Found()
    for path in spool.spool_files(directory):
        header = frames.read_header(path)
        assert isinstance(header, frames.Header), (path, header)
        end = frames.HEADER_SIZE
        for record in frames.read_records(path):
            end = record.offset_end
            if record.kind == frames.LOSSES:
                losses = frames.decode_losses(record.payload)
                found.excused -= losses.pop(frames.TORN, 0)
                found.losses.update(losses)
            else:
                found.events.append(record.payload)
                found.ids.append(record.event_id)
        found.files += 1
        found.torn += path.stat().st_size != end
    return found


def offer(here: Spool, count: int, size: int = 100) -> list[bytes]:
    """Offer distinct events and return those that were taken."""
    events = [os.urandom(8) + bytes(size - 8) for _ in range(count)]
    return [event for event in events if here.append(event)]


def assert_balanced(here: Spool, taken: list[bytes], offered: int) -> None:
    """Compare what is readable with what was taken, and the drain's view of the losses with the spool's own."""
    here.close()
    found = found_in(here.directory)
    assert sorted(found.events) == sorted(taken)
    assert here.books.recorded == len(taken)
    assert sum(here.books.dropped.values()) == offered - len(taken)
    assert found.losses == here.books.dropped
    assert found.excused == found.torn


class Clock:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
