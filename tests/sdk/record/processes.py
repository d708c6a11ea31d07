"""Real child processes for the tests, which never fall back into pytest and never outlive it."""

import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


def in_child(work: Callable[[], Any]) -> Any:
    """Run `work` in a forked child and return its answer (JSON types); a failure there fails here, with its traceback."""
    reading, writing = os.pipe()
    with child(lambda: os.write(writing, json.dumps(work()).encode())) as pid:
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            text = answer.read()
        assert ended_well(pid)
    return json.loads(text)


def ended_well(pid: int) -> bool:
    """Wait for a child and tell whether it ended by itself, without an error."""
    return os.waitpid(pid, 0)[1] == 0


def kill(pid: int) -> None:
    """Send the signal nobody can catch, and wait until it is done."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def child(work: Callable[[], object], fork: Callable[[], int] = os.fork) -> Iterator[int]:
    """Run `work` in a child meanwhile; whoever is still there at the end is killed."""
    pid = fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
            traceback.print_exc()
        finally:
            os._exit(status)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            kill(pid)


class Gate:
    """A place where one process waits for another: `pass_through` returns once somebody has called `open`."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()

    def open(self) -> None:
        """Let one waiter through."""
        os.write(self._writing, b".")

    def pass_through(self) -> None:
        """Wait for it."""
        assert os.read(self.reading, 1) == b"."

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self.reading)
        os.close(self._writing)
