"""Opening an access log: file or standard input, plain or gzip, with every fault told in one sentence."""

import gzip
import io
import os
import sys
import zlib
from typing import BinaryIO, Final, cast

from calos_telemetry.errors import LogFormatError

_BLOCK: Final = 262_144
_GZIP: Final = b"\x1f\x8b"
_OTHER_MAGIC: Final = {
    b"BZh": "bzip2 -dc",
    b"\xfd7zXZ\x00": "xz -dc",
    b"\x28\xb5\x2f\xfd": "zstd -dc",
    b"PK\x03\x04": "unzip -p",
    b"\x1f\x9d": "uncompress -c",
}
_LONGEST_MAGIC: Final = 6


def open_log(path: str) -> BinaryIO:
    """Open a log for `read_log`; ``-`` is standard input, and gzip is recognised by its first bytes.

    Raises `LogFormatError` with a sentence that says what to do, here or when a damaged file is read.
    """
    bottom = _Source("standard input", _stdin(), owned=False) if path == "-" else _Source(path, _open(path))
    try:
        is_packed = _is_gzip(bottom.name, bottom.look_ahead(_LONGEST_MAGIC))
    except LogFormatError:
        bottom.close()
        raise
    packed = io.BufferedReader(bottom, _BLOCK)
    if not is_packed:
        return packed
    unpacked = _Source(bottom.name, cast("BinaryIO", gzip.GzipFile(fileobj=packed, mode="rb")), below=packed)
    return io.BufferedReader(unpacked, _BLOCK)


def progress(stream: BinaryIO) -> int:
    """Return how many bytes of its file a stream of `open_log` has read, packed bytes where it is packed.

    0 where there is no telling: a pipe.
    """
    try:
        return os.lseek(stream.fileno(), 0, os.SEEK_CUR)
    except (OSError, ValueError):
        return 0


class _Source(io.RawIOBase):
    """The bytes of `inner`, whose faults (disk, gzip) come out as one sentence."""

    def __init__(self, name: str, inner: BinaryIO, *, owned: bool = True, below: BinaryIO | None = None) -> None:
        self.name = name
        self._inner = inner
        self._ahead = b""
        self._closed_along = [file for file in (inner if owned else None, below) if file is not None]

    def readable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the file at the bottom, for `progress`."""
        return self._inner.fileno()

    def look_ahead(self, size: int) -> bytes:
        """Return the first bytes without consuming them, however small the pieces in which a pipe hands them over."""
        while len(self._ahead) < size and (piece := self._read(size - len(self._ahead))):
            self._ahead += piece
        return self._ahead

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # what io.BufferedReader gives us
        """Fill `buffer` and return how many bytes there were."""
        data = self._ahead[: len(buffer)] or self._read(len(buffer))
        self._ahead = self._ahead[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            return self._inner.read(size)
        except EOFError:
            raise LogFormatError(f"{self.name} ends in the middle of its gzip data: copy it again, whole") from None
        except (gzip.BadGzipFile, zlib.error):
            raise LogFormatError(f"{self.name} is damaged gzip: check it with `gzip -t`, copy it again") from None
        except OSError as error:
            raise LogFormatError(f"{self.name} cannot be read ({error.strerror}): check disk and network") from None

    def close(self) -> None:
        """Close the files below too, except standard input."""
        if not self.closed:
            super().close()
            for file in self._closed_along:
                file.close()


def _is_gzip(name: str, head: bytes) -> bool:
    for magic, command in _OTHER_MAGIC.items():
        if head.startswith(magic):
            raise LogFormatError(f"{name} is packed, and not by gzip: pipe `{command} FILE` into -")
    return head.startswith(_GZIP)


def _stdin() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed:
        raise LogFormatError("there is no standard input: give the path of an access log instead of -")
    return sys.stdin.buffer


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb", buffering=0)  # noqa: PTH123 - a path may be any text here, also one Path refuses
    except FileNotFoundError:
        reason = "does not exist: give the path of an access log, or - for standard input"
    except IsADirectoryError:
        reason = "is a directory: give one file, or pipe several into -"
    except PermissionError:
        reason = "may not be read by this user: change its permissions, or pipe it into -"
    except (OSError, ValueError) as error:
        reason = f"cannot be opened ({getattr(error, 'strerror', 'no file has such a name')}): give an access log"
    raise LogFormatError(f"{path!r} {reason}")
