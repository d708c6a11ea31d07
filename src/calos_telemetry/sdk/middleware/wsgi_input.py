"""The body of a request under WSGI, counted as the application reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from calos_telemetry.sdk.record.facts import RequestFacts


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
        line: bytes = self._asked(self._stream.readline, *size)
        return self._counted(line, wanted=size != (0,))

    def readlines(self, *hint: int) -> list[bytes]:
        """Read lines as the stream does."""
        lines: list[bytes] = self._asked(self._stream.readlines, *hint)
        self._counted(b"".join(lines), to_the_end=not hint)
        return lines

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer`` as the stream does."""
        size: int = self._asked(self._stream.readinto, buffer)
        self._count(size or 0, ended=not size and len(buffer) > 0)
        return size

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._counted(line)
        self._count(0, ended=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

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
