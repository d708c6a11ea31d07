"""A world that fails at random: system calls, the database, memory, the clock; and a count of how often it did."""

import errno
import fcntl
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import OperationalError
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.sdk.record.faulty_os import FaultyOS

from calos_telemetry import clock
from calos_telemetry.contract.events import to_record
from calos_telemetry.sdk.record import directory, frames, pipeline, spool

CALLS = ("open", "write", "scandir", "fdatasync", "fsync", "urandom", "pread", "rename", "unlink")
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.EDQUOT, errno.EINTR, errno.EROFS)
STATEMENTS = ("database is locked", "disk I/O error", "database or disk is full", "unable to open database file")


class World:
    """Fails with a probability of ``rate``, drawn from ``chance``; ``faults`` counts the times."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.faults = 0
        self.chance = random.Random(0)  # noqa: S311 - repeatable, not secret
        self.offset_ns = 0

    def fails(self) -> bool:
        """Draw, and count."""
        failed = self.rate > 0 and self.chance.random() < self.rate
        self.faults += failed
        return failed

    def call(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return a system call that fails when the world does: by an error, for want of memory, or half way."""

        def perform(*arguments: Any, **options: Any) -> Any:
            if not self.fails():
                return real(*arguments, **options)
            if name == "write" and self.chance.random() < 0.3:
                return real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if self.chance.random() < 0.1:
                raise MemoryError
            number = self.chance.choice(ERRORS)
            raise OSError(number, os.strerror(number))

        return perform

    def encode(self, real: Callable[..., bytes]) -> Callable[..., bytes]:
        """Return an encoder that runs out of memory when the world does."""

        def perform(*arguments: Any) -> bytes:
            if self.fails():
                raise MemoryError
            return real(*arguments)

        return perform

    def trouble_database(self, engine: Engine) -> None:
        """Let statements and commits fail."""

        def fail(*_: object) -> None:
            if self.fails():
                raise OperationalError(self.chance.choice(STATEMENTS))

        event.listen(engine, "before_cursor_execute", fail)
        event.listen(engine, "commit", fail)

    def now_ns(self) -> int:
        """Return a wall clock that was set forward and back."""
        return 1_795_000_000_000_000_000 + self.offset_ns

    @contextmanager
    def around(self) -> Iterator[None]:
        """Put the recording into this world."""
        with pytest.MonkeyPatch.context() as patch:
            faulty = FaultyOS(**{name: self.call(name, getattr(os, name)) for name in CALLS})
            for module in (directory, spool, frames):
                patch.setattr(module, "os", faulty)
            patch.setattr(fcntl, "flock", self.call("flock", fcntl.flock))
            patch.setattr(pipeline, "to_record", self.encode(to_record))
            patch.setattr(spool, "RETRY_SECONDS", 0.0)
            clock.set_source(self.now_ns)
            try:
                yield
            finally:
                clock.set_source(None)
