"""Opening access logs: plain, gzip, standard input, and every way in which that can fail."""

from __future__ import annotations

import gzip
import io
import os
import threading
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.sdk.record.log_reading import COMBINED, COMMON, lines_of

from calos_telemetry.errors import LogFormatError
from calos_telemetry.sdk.record.access_log import Line, Malformed, open_log, progress, read_log


def read_path(path: Path | str) -> list[Line | Malformed]:
    with open_log(str(path)) as stream:
        return list(read_log(stream))


class Stdin:
    """Stands in for `sys.stdin`."""

    closed = False

    def __init__(self, buffer: BinaryIO) -> None:
        self.buffer = buffer


def test_plain_gzip_and_standard_input_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same log plain, gzipped (in several members, under any name) and from either through a pipe reads the same."""
    log = b"\n".join([COMBINED, COMMON, b"what", COMBINED] * 50) + b"\n"
    packed = gzip.compress(log[:999]) + gzip.compress(log[999:])
    plain, zipped = tmp_path / "access.gz", tmp_path / "access.log"  # the names lie
    plain.write_bytes(log)
    zipped.write_bytes(packed)
    assert read_path(plain) == read_path(zipped) == lines_of(log)
    for content in (log, packed):
        stdin = io.BytesIO(content)
        monkeypatch.setattr("sys.stdin", Stdin(stdin))
        assert read_path("-") == lines_of(log)
        assert not stdin.closed


@pytest.mark.parametrize("content", [COMBINED + b"\n", gzip.compress(COMBINED + b"\n", mtime=0)])
def test_pipe_that_hands_over_single_bytes(content: bytes) -> None:
    """A named pipe whose writer is slow is recognised and read like a file."""
    out, into = os.pipe()

    def write() -> None:
        with os.fdopen(into, "wb", buffering=0) as pipe:
            for byte in content:
                pipe.write(bytes([byte]))

    writer = threading.Thread(target=write)
    writer.start()
    found = read_path(f"/dev/fd/{out}")
    writer.join()
    os.close(out)
    assert [line.number for line in found if isinstance(line, Line)] == [1]


@pytest.mark.parametrize("content", [b"", b"\n", gzip.compress(b"", mtime=0)])
def test_empty_log_holds_nothing(tmp_path: Path, content: bytes) -> None:
    """An empty log is no fault: it has no lines."""
    (tmp_path / "log").write_bytes(content)
    assert read_path(tmp_path / "log") == []


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a file is read is known, packed or not, so that a progress bar can be drawn; of a pipe it is not."""
    monkeypatch.setattr(io, "DEFAULT_BUFFER_SIZE", 8_192)  # ClickHouse's driver raises it for the whole process
    for content in (b"x" * 1_000_000, gzip.compress(os.urandom(1_000_000))):
        (tmp_path / "log").write_bytes(content)
        with open_log(str(tmp_path / "log")) as stream:
            stream.read(500_000)
            half = progress(stream)
            stream.read()
            assert 400_000 < half < 900_000
            assert progress(stream) == len(content)
    assert progress(io.BytesIO()) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (gzip.compress(COMBINED * 99, mtime=0)[:-20], "ends in the middle of its gzip data: copy it again, whole"),
        (gzip.compress(COMBINED, mtime=0)[:5], "ends in the middle of its gzip data: copy it again, whole"),
        (b"\x1f\x8b" + b"\x00" * 50, "is damaged gzip: check it with `gzip -t`, copy it again"),
        (
            gzip.compress(COMBINED, mtime=0)[:-8] + b"\x00" * 8,
            "is damaged gzip: check it with `gzip -t`, copy it again",
        ),
        (
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xff" * 50,
            "is damaged gzip: check it with `gzip -t`, copy it again",
        ),
        (b"BZh91AY", "is packed, and not by gzip: pipe `bzip2 -dc FILE` into -"),
        (b"\xfd7zXZ\x00rest", "is packed, and not by gzip: pipe `xz -dc FILE` into -"),
    ],
)
def test_damaged_files_say_what_to_do(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A damaged or unknown packed file ends in one sentence that says what to do."""
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(LogFormatError) as caught:
        read_path(path)
    assert str(caught.value) == f"{path} {sentence}"


def test_damaged_gzip_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    """The lines in front of the damage are delivered first; importing the whole file later does not repeat them."""
    path = tmp_path / "log"
    log = b"".join(COMBINED + b" %d\n" % number for number in range(100_000))
    path.write_bytes(gzip.compress(log)[:-1_000])
    found: list[Line | Malformed] = []
    with open_log(str(path)) as stream, pytest.raises(LogFormatError):
        found.extend(read_log(stream))  # extend keeps what came before the exception
    assert len(found) > 90_000


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing", "does not exist: give the path of an access log, or - for standard input"),
        ("", "does not exist: give the path of an access log, or - for standard input"),
        ("folder", "is a directory: give one file, or pipe several into -"),
        ("nul\0", "cannot be opened (no file has such a name): give an access log"),
        ("x" * 300, "cannot be opened (File name too long): give an access log"),
    ],
)
def test_unusable_paths_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    """A path that cannot be opened ends in one sentence that says what to do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(LogFormatError) as caught:
        open_log(name)
    assert str(caught.value) == f"{name!r} {sentence}"


def test_forbidden_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file this user may not read ends in one sentence (the refusal is simulated: tests may run as root)."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(LogFormatError, match="may not be read by this user: change its permissions"):
        open_log(str(tmp_path / "log"))


def test_no_standard_input_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without standard input (a service) is told so."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(LogFormatError, match="there is no standard input"):
        open_log("-")
