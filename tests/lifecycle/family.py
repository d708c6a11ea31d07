"""A program that records, drains all the time, and has children: run by `test_processes.py` with the way to have them.

Every child records and flushes; the program prints how many events it offered, and what telemetry could not do.
"""

import multiprocessing
import random
import sys
import time
from typing import Any

from calos_telemetry import Telemetry, track_feature

CHILDREN = int(sys.argv[2]) if len(sys.argv) > 2 else 0
OWN, EACH = 3_000, 100
telemetry = Telemetry()


def use(times: int) -> None:
    """Record."""
    for _ in range(times):
        assert track_feature(None, "used")


def child() -> None:
    """Record, ask for the license, and drain, as an application's worker may."""
    use(EACH)
    assert telemetry.license is not None
    telemetry.flush()
    assert telemetry.troubles() == [], telemetry.troubles()


def main() -> None:
    """Have children at moments drawn at random, while the background thread opens the database and drains."""
    context: Any = multiprocessing.get_context(sys.argv[1])
    chance = random.Random(CHILDREN)  # noqa: S311 - repeatable, not secret
    pace = random.Random(CHILDREN)  # noqa: S311
    children = []
    for _ in range(CHILDREN):
        use(chance.randrange(OWN))
        time.sleep(pace.random() / 5)
        children.append(context.Process(target=child))
        children[-1].start()
    for process in children:
        process.join()
    sys.stdout.write(f"{[process.exitcode for process in children]}\n{telemetry.troubles()}\n")


if __name__ == "__main__":
    main()
