"""Real processes killed for good at any moment: whatever was acknowledged is there, once, and in order."""

import mmap
import os
import random
import shutil
import struct
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from tests.sdk.record.processes import child, kill
from tests.sdk.record.spool_reading import found_in

from calos_telemetry.sdk.record.spool import Spool

ROUNDS = int(os.environ.get("CALOS_FAULT_ROUNDS", "10"))
EVENT = struct.Struct("<IQ")  # who wrote it, and its number there


def write_until_killed(directory: Path, writer: int, padding: int, max_file: int, shared: mmap.mmap) -> None:
    """Record without end, and publish in shared memory how many records were acknowledged."""
    here = Spool(directory, max_file=max_file, max_total=1 << 30)
    acknowledged = memoryview(shared).cast("Q")
    number = 0
    while True:
        assert here.append(EVENT.pack(writer, number) + bytes(padding))
        number += 1
        acknowledged[writer] = number


@pytest.mark.parametrize(
    ("writers", "padding", "max_file", "records"),
    [
        pytest.param(1, 0, 1 << 20, 40_000, id="one writer"),
        pytest.param(3, 140, 1 << 20, 30_000, id="three writers"),
        pytest.param(3, 140, 4096, 3_000, id="three writers, a new file every 25 records"),
        pytest.param(1, 60_000, 1 << 20, 500, id="records of 60 KB"),
    ],
)
def test_no_acknowledged_record_is_lost_or_doubled(
    tmp_path: Path, writers: int, padding: int, max_file: int, records: int
) -> None:
    """Kill the writers at moments drawn at random: each left an unbroken row of records, at most one not acknowledged."""
    chance = random.Random(f"{writers} {padding} {max_file}")  # noqa: S311 - repeatable, not secret
    for number in range(ROUNDS):
        directory = tmp_path / str(number)
        with mmap.mmap(-1, mmap.PAGESIZE) as shared, ExitStack() as stack:
            acknowledged = memoryview(shared).cast("Q")
            pids = [
                stack.enter_context(child(partial(write_until_killed, directory, writer, padding, max_file, shared)))
                for writer in range(writers)
            ]
            wanted = chance.randrange(1, records)
            while sum(acknowledged[:writers]) < wanted:
                assert all(os.waitpid(pid, os.WNOHANG) == (0, 0) for pid in pids), "a writer failed by itself"
                os.sched_yield()
            for pid in pids:
                kill(pid)
            counts = list(acknowledged[:writers])
            acknowledged.release()
        assert_all_there(directory, counts)
        shutil.rmtree(directory)


def assert_all_there(directory: Path, counts: list[int]) -> None:
    found = found_in(directory)
    numbers: list[list[int]] = [[] for _ in counts]
    for event in found.events:
        writer, number = EVENT.unpack_from(event)
        numbers[writer].append(number)
    for count, written in zip(counts, numbers, strict=True):
        assert sorted(written) in (list(range(count)), list(range(count + 1)))
    assert len(set(found.ids)) == len(found.events)
    assert found.torn <= len(counts)
    assert not found.losses
