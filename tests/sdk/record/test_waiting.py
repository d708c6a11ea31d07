"""What waits in the spool, by process: of the living, of the killed, and in bytes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from calos_telemetry.contract.events import FeatureUsage, to_record
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record.drain import Drain
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.waiting import Waiting, pending, waiting, waiting_bytes
from calos_telemetry.settings import Settings

RECORD = to_record(1_764_000_000_000, FeatureUsage(feature="pos"))
WRITER = """
import sys, time
from pathlib import Path
from calos_telemetry.sdk.record.spool import Spool
spool = Spool(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    assert spool.append(bytes.fromhex(sys.argv[3]))
print("done", flush=True)
time.sleep(600)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir(mode=0o700)
    return made


def test_each_process_has_its_own_number(directory: Path, install_engine: Engine) -> None:
    """Living workers are told apart from one that was killed; their numbers add up to what is pending."""
    here = Spool(directory)
    assert here.append(RECORD)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory), str(number), RECORD.hex()], stdout=subprocess.PIPE, text=True
        )
        for number in (2, 3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "done\n"
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        found = waiting(directory, install_engine)
        assert set(found) == {
            Waiting(os.getpid(), True, 1),
            Waiting(workers[1].pid, True, 3),
            Waiting(workers[0].pid, False, 2),
        }
        assert not found[-1].alive
        assert pending(directory, install_engine) == 6
        assert waiting_bytes(directory, install_engine) >= 6 * len(RECORD)
        policy = Policy(Settings(home=directory.parent), Tier.COMMUNITY)
        assert Drain(directory, install_engine, "ab" * 16, policy).run().events == 6
        assert {one.events for one in waiting(directory, install_engine)} == {0}
        assert {one.alive for one in waiting(directory, install_engine)} == {True}
        assert pending(directory, install_engine) == waiting_bytes(directory, install_engine) == 0
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
        here.close()
