"""The spool's format on disk: a header, then framed records that can be recognised after any accident.

```
file   := header record*
header := "CSPL" u8 version  u8 flags  u16 header size  16 bytes file id  u64 created (ns)  u32 pid  24 bytes 0  u32 crc32
record := u16 0xCA05  u16 length  u32 crc32  u8 kind  payload[length]
```

Little endian throughout. A record's checksum starts from the file's own seed, mixed with the record's length and kind:
neither a run of zeros nor the bytes of another file nor a record cut short or patched together can pass for a record.
"""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from zlib import crc32

import msgspec

MAGIC: Final = 0xCA05  # not zero: a run of zeros must never look like a frame
VERSION: Final = 1
HEADER_SIZE: Final = 64
FRAME: Final = struct.Struct("<HHIB")
FRAME_SIZE: Final = FRAME.size
MAX_PAYLOAD: Final = 0xFFFF
"""The largest payload in bytes, set by the two bytes of the length."""

EVENT: Final = 0
LOSSES: Final = 1
TORN: Final = "torn"  # the reader's own reason: it counts one for each file that ends in half a record

SUFFIX: Final = ".spl"
_FILE_MAGIC: Final = b"CSPL"
_FIELDS: Final = struct.Struct("<4sBBH16sQI24x")
_CHECKSUM: Final = struct.Struct("<I")
_FILE_ID_SIZE: Final = 16
_CHUNK: Final = 256 * 1024  # holds the largest record several times over, so a chunk without one is the end
_OPEN_TO_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

Source = int | str | os.PathLike[str]
"""Where to read from: an open file descriptor (its position is neither used nor moved) or a path."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One valid record: its file, where it ends in it (bytes), what it holds, and its kind (`EVENT` or `LOSSES`).

    A reader must pass over kinds it does not know: a newer release may have written the file.
    """

    file_id: bytes
    offset_end: int
    payload: bytes
    kind: int

    @property
    def offset(self) -> int:
        """Where the record starts in the file, in bytes."""
        return self.offset_end - FRAME_SIZE - len(self.payload)

    @property
    def event_id(self) -> str:
        """The record's name: 32 hex digits, the same at every reading, unlike any other record's.

        The first 24 digits are those of the file's name (96 random bits tell files apart), the last 8 are the offset:
        so an operator can go from a row in the database back to the bytes it came from.
        """
        return f"{self.file_id[:12].hex()}{self.offset:08x}"


@dataclass(frozen=True, slots=True)
class Header:
    """What a spool file says about itself: its id, its birth in nanoseconds since 1970, and the process that began it."""

    file_id: bytes
    created_ns: int
    pid: int


@dataclass(frozen=True, slots=True)
class BadHeader:
    """Why a file cannot be read as a spool file.

    `blank` is what a power cut leaves of a file never written back (empty, or zeros only): nothing to keep.
    The others hold bytes that may matter to somebody: `foreign` is not ours, `version` is a newer release's,
    `damaged` fails its checksum, `renamed` has another file's id in its header.
    """

    reason: Literal["blank", "foreign", "version", "damaged", "renamed"]


def seed_of(file_id: bytes) -> int:
    """Where the checksums of this file's records start from."""
    return crc32(file_id)


def encode_header(file_id: bytes, created_ns: int, pid: int) -> bytes:
    """Return the `HEADER_SIZE` bytes a spool file begins with; the file id is 16 random bytes."""
    fields = _FIELDS.pack(_FILE_MAGIC, VERSION, 0, HEADER_SIZE, file_id, created_ns, pid)
    return fields + _CHECKSUM.pack(crc32(fields))


def encode_record(payload: bytes, seed: int, kind: int = EVENT) -> bytes:
    """Frame one payload of at most `MAX_PAYLOAD` bytes for the file whose checksums start from `seed`.

    `Spool.append` spells this out once more, for it runs on every request.
    """
    length = len(payload)
    return FRAME.pack(MAGIC, length, crc32(payload, seed ^ length ^ kind << 16), kind) + payload


def encode_losses(losses: dict[str, int]) -> bytes:
    """Return the payload of a `LOSSES` record: how many events were dropped, by reason."""
    return json.dumps(losses, separators=(",", ":")).encode()


def decode_losses(payload: bytes) -> dict[str, int]:
    """Return what a `LOSSES` record holds; nothing when it is not a flat map of reasons to positive counts.

    Only `torn` may be negative: so many torn tails are no lost events, for their writer lived to take care of them.
    """
    try:
        losses = json.loads(payload)
    except ValueError:
        return {}
    if not isinstance(losses, dict):
        return {}
    return {
        reason: count
        for reason, count in losses.items()
        if type(count) is int and (count > 0 or (reason == TORN and count < 0))
    }


def file_id_of(path: str | os.PathLike[str]) -> bytes | None:
    """Return the id in a spool file's name, or None when the name is not `<32 hex digits>.spl`."""
    name = Path(path).name
    stem, suffix = name[: -len(SUFFIX)], name[-len(SUFFIX) :]
    if suffix != SUFFIX or len(stem) != 2 * _FILE_ID_SIZE or not set(stem) <= set("0123456789abcdef"):
        return None
    return bytes.fromhex(stem)


def read_header(source: Source) -> Header | BadHeader:
    """Read a file's header, or say what is wrong with it.

    Raises OSError when the file cannot be opened or read: that says nothing about its contents, so leave it in place.
    """
    with _reading(source) as fd:
        header = _header(fd)
    if isinstance(source, int) or isinstance(header, BadHeader):
        return header
    named = file_id_of(source)
    return header if named in (None, header.file_id) else BadHeader("renamed")


def read_records(source: Source, start: int = 0) -> Iterator[Record]:
    """Yield the valid records from offset `start` on (0, or where an earlier record ended), in constant memory.

    Ends at the first bytes that are not a valid record: a torn tail, or the end of what a living writer has written so
    far. A file with a bad header yields nothing; `read_header` tells why. Raises OSError when the file cannot be read:
    what was yielded until then is sound, but the file must be kept, for there may be more.
    """
    with _reading(source) as fd:
        header = _header(fd)
        if isinstance(header, BadHeader):
            return
        offset = max(start, HEADER_SIZE)
        progress = True
        while progress:
            progress = False
            for record in _records_in(os.pread(fd, _CHUNK, offset), header.file_id, offset):
                yield record
                offset, progress = record.offset_end, True


def _records_in(chunk: bytes, file_id: bytes, base: int) -> Iterator[Record]:
    """Yield the whole, valid records a chunk begins with; `base` is the chunk's offset in the file."""
    unpack, seed, end, at = FRAME.unpack_from, seed_of(file_id), len(chunk), 0
    while at + FRAME_SIZE <= end:
        magic, length, checksum, kind = unpack(chunk, at)
        at += FRAME_SIZE
        if magic != MAGIC or at + length > end:
            return
        payload = chunk[at : at + length]
        if crc32(payload, seed ^ length ^ kind << 16) != checksum:
            return
        at += length
        yield Record(file_id, base + at, payload, kind)


def _header(fd: int) -> Header | BadHeader:
    data = os.pread(fd, HEADER_SIZE, 0)
    if not data.strip(b"\0"):
        return BadHeader("blank")
    if data[:4] != _FILE_MAGIC:
        return BadHeader("foreign")
    if len(data) < HEADER_SIZE:
        return BadHeader("damaged")
    _, version, _, _, file_id, created_ns, pid = _FIELDS.unpack_from(data)
    if _CHECKSUM.unpack_from(data, _FIELDS.size)[0] != crc32(data[: _FIELDS.size]):
        return BadHeader("damaged")
    if version != VERSION:
        return BadHeader("version")
    return Header(file_id, created_ns, pid)


@contextmanager
def _reading(source: Source) -> Iterator[int]:
    """Lend an open descriptor: the caller's own as it is, or one for the path, closed again at the end.

    A symlink is refused, and a planted pipe cannot hold the reader up.
    """
    if isinstance(source, int):
        yield source
        return
    fd = os.open(source, _OPEN_TO_READ)
    try:
        yield fd
    finally:
        os.close(fd)
