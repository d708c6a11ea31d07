"""The body of a request under WSGI, counted as the application reads it."""

from __future__ import annotations

from functools import partial
from typing import Any

from calos_telemetry.sdk.record.facts import RequestFacts

_INTO = frozenset({"readinto", "readinto1"})


class CountedInput:
    """A server's ``wsgi.input``: every read is passed on and counted; what else it can do is its own.

    Where it ends before ``announced`` bytes came, or fails, the client is gone.
    """

    def __init__(self, stream: Any, facts: RequestFacts, announced: int) -> None:
        self._stream = stream
        self._facts = facts
        self._announced = announced

    def read(self, *size: int) -> bytes:
        """Read as the stream does."""
        data: bytes = self._asked(self._stream.read, *size)
        return self._counted(data, to_the_end=not size or size[0] is None or size[0] < 0, wanted=size != (0,))

    def readline(self, *size: int) -> bytes:
        """Read a line as the stream does."""
        return self._read_some(self._stream.readline, *size)

    def readlines(self, *hint: int) -> list[bytes]:
        """Read lines as the stream does."""
        lines: list[bytes] = self._asked(self._stream.readlines, *hint)
        self._counted(b"".join(lines), to_the_end=not hint)
        return lines

    def __iter__(self) -> CountedInput:
        return self

    def __next__(self) -> bytes:
        try:
            line: bytes = self._asked(next, iter(self._stream))
        except StopIteration:
            self._count(0, ended=True)
            raise
        return self._counted(line)

    def __getattr__(self, name: str) -> Any:
        """Give what else the stream has; what it has not must be missing here as well, because readers look for it."""
        found = getattr(self._stream, name)
        if name in _INTO:
            return lambda buffer: self._read_into(found, buffer)
        return partial(self._read_some, found) if name == "read1" else found

    def _read_some(self, read: Any, *size: int) -> bytes:
        return self._counted(self._asked(read, *size), wanted=size != (0,))

    def _read_into(self, read: Any, buffer: Any) -> int | None:
        size: int | None = self._asked(read, buffer)
        self._count(size or 0, ended=size == 0 and len(buffer) > 0)
        return size

    def _asked(self, read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except OSError as error:
            self._facts.disconnected, self._facts.cut = True, error
            raise

    def _counted(self, data: bytes, *, to_the_end: bool = False, wanted: bool = True) -> bytes:
        self._count(len(data), ended=to_the_end or (wanted and not data))
        return data

    def _count(self, size: int, *, ended: bool) -> None:
        facts = self._facts
        facts.request_bytes += size
        if ended and facts.request_bytes < self._announced:
            facts.disconnected = True
