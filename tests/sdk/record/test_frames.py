"""The format on disk: whatever happens to a file, a reader finds a prefix of what was written, and never anything else."""

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.record import frames

ID = bytes(range(1, 17))
OTHER_ID = bytes(range(101, 117))


def file_of(payloads: list[bytes], file_id: bytes = ID, kind: int = frames.EVENT) -> bytes:
    seed = frames.seed_of(file_id)
    records = (frames.encode_record(payload, seed, kind) for payload in payloads)
    return frames.encode_header(file_id, 1, 2) + b"".join(records)


def payloads_in(data: bytes, tmp_path: Path) -> list[bytes]:
    path = tmp_path / "file"
    path.write_bytes(data)
    return [record.payload for record in frames.read_records(path)]


@given(st.lists(st.binary(max_size=300) | st.integers(0, frames.MAX_PAYLOAD).map(bytes), max_size=30))
def test_any_payloads_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    """Any sequence of payloads, empty and largest ones and zeros included, is read back byte for byte and in order."""
    assert payloads_in(file_of(payloads), tmp_path_factory.mktemp("any")) == payloads


def test_a_file_cut_at_any_byte_yields_the_records_before_the_cut(tmp_path: Path) -> None:
    """Wherever the file ends, all records that are whole are read, and the torn one is not."""
    payloads = [b"first", b"", b"\0\0\0", b"the last one"]
    data = file_of(payloads)
    ends = [len(file_of(payloads[:count])) for count in range(len(payloads) + 1)]
    for cut in range(frames.HEADER_SIZE, len(data) + 1):
        whole = sum(end <= cut for end in ends) - 1
        assert payloads_in(data[:cut], tmp_path) == payloads[:whole], cut


def test_any_flipped_bit_ends_the_reading_there(tmp_path: Path) -> None:
    """No single wrong bit in a record's frame or payload is read as something that was never written."""
    payloads = [b"kept", b"", b"\0" * 12, b"last"]
    data = file_of(payloads)
    ends = [len(file_of(payloads[:count])) for count in range(len(payloads) + 1)]
    for position in range(8 * frames.HEADER_SIZE, 8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        whole = sum(end <= position // 8 for end in ends) - 1
        assert payloads_in(bytes(damaged), tmp_path) == payloads[:whole], position


@pytest.mark.parametrize("zeros", [1, frames.FRAME_SIZE, 4096, 300_000])
def test_zeros_after_the_end_are_not_records(tmp_path: Path, zeros: int) -> None:
    """A power cut may leave the file longer than what reached the disk: the zeros in between are no empty records."""
    assert payloads_in(file_of([b"one", b"two"]) + bytes(zeros), tmp_path) == [b"one", b"two"]


def test_records_of_another_file_are_not_ours(tmp_path: Path) -> None:
    """Blocks of a file long gone, which a power cut can make reappear in a new one, do not count as its records."""
    other = file_of([b"three", b"four"], OTHER_ID)[frames.HEADER_SIZE :]
    assert payloads_in(file_of([b"one", b"two"]) + other, tmp_path) == [b"one", b"two"]


def test_a_record_of_one_kind_cannot_turn_into_another(tmp_path: Path) -> None:
    """The kind is under the checksum too, so an event is never taken for losses."""
    data = bytearray(file_of([b'{"oversize":9}']))
    data[frames.HEADER_SIZE + frames.FRAME_SIZE - 1] = frames.LOSSES
    assert payloads_in(bytes(data), tmp_path) == []


def test_reading_goes_on_where_an_earlier_reading_ended(tmp_path: Path) -> None:
    """The offset of any record is a place to go on from, and record offsets meet without gaps."""
    path = tmp_path / "file"
    path.write_bytes(file_of([b"a" * 70_00, b"", b"c" * 60_000, b"d"] * 10))
    records = list(frames.read_records(path))
    offset = frames.HEADER_SIZE
    for number, record in enumerate(records):
        assert record.offset == offset
        offset = record.offset_end
        assert list(frames.read_records(path, offset)) == records[number + 1 :]


def test_reading_takes_constant_memory(tmp_path: Path) -> None:
    """A file of 16 MiB is read in less than 2 MiB."""
    path = tmp_path / "file"
    path.write_bytes(file_of([bytes(60_000)] * 280))
    tracemalloc.start()
    count = sum(1 for _ in frames.read_records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 280
    assert peak < 2 << 20


def test_a_descriptor_is_read_without_moving_it(tmp_path: Path) -> None:
    """Reading through a descriptor leaves its position alone and leaves it open."""
    path = tmp_path / "file"
    path.write_bytes(file_of([b"one"]))
    fd = os.open(path, os.O_RDONLY)
    assert [record.payload for record in frames.read_records(fd)] == [b"one"]
    assert frames.read_header(fd) == frames.Header(ID, 1, 2)
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    os.close(fd)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "blank"),
        (bytes(4096), "blank"),
        (b"GIF89a" + bytes(100), "foreign"),
        (frames.encode_header(ID, 1, 2)[:-1], "damaged"),
        (b"CSPL\x02" + frames.encode_header(ID, 1, 2)[5:], "damaged"),
    ],
)
def test_a_bad_header_is_an_answer_not_an_error(tmp_path: Path, data: bytes, reason: str) -> None:
    """What is no spool file is told by kind, for the drain to set aside, and holds no records."""
    (tmp_path / "file").write_bytes(data)
    assert frames.read_header(tmp_path / "file") == frames.BadHeader(reason)  # type: ignore[arg-type]
    assert payloads_in(data, tmp_path) == []


def test_any_flipped_bit_of_the_header_is_noticed(tmp_path: Path) -> None:
    """No single wrong bit gives a file another id, hence its events other names."""
    data = file_of([b"one"])
    for position in range(8 * frames.HEADER_SIZE):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        assert payloads_in(bytes(damaged), tmp_path) == [], position


def test_a_later_version_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a release to come is recognised as that, not as damage."""
    with monkeypatch.context() as later:
        later.setattr(frames, "VERSION", 2)
        (tmp_path / "file").write_bytes(file_of([b"one"]))
    assert frames.read_header(tmp_path / "file") == frames.BadHeader("version")


def test_a_copy_under_another_name_is_refused(tmp_path: Path) -> None:
    """A file whose name is not its own would be drained twice, so it is told apart."""
    (tmp_path / f"{ID.hex()}.spl").write_bytes(file_of([b"one"]))
    (tmp_path / f"{OTHER_ID.hex()}.spl").write_bytes(file_of([b"one"]))
    assert frames.read_header(tmp_path / f"{ID.hex()}.spl") == frames.Header(ID, 1, 2)
    assert frames.read_header(tmp_path / f"{OTHER_ID.hex()}.spl") == frames.BadHeader("renamed")


def test_what_cannot_be_read_is_an_oserror(tmp_path: Path) -> None:
    """A file that is missing, a symlink, a pipe or a directory says nothing about records: the caller must keep it."""
    (tmp_path / "target").write_bytes(file_of([b"one"]))
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("missing", "link", "pipe", "folder"):
        with pytest.raises(OSError, match=r"\w"):
            frames.read_header(tmp_path / name)
        with pytest.raises(OSError, match=r"\w"):
            list(frames.read_records(tmp_path / name))


def test_the_id_is_in_the_name() -> None:
    """Only `<32 hex digits>.spl` names a spool file."""
    assert frames.file_id_of(f"/a/b/{ID.hex()}.spl") == ID
    for name in (".drain", f"{ID.hex()}.new", f"{ID.hex()}", f"{ID.hex().upper()}A.spl", "g" * 32 + ".spl", ".spl"):
        assert frames.file_id_of(name) is None, name


def test_event_ids_lead_back_to_the_bytes() -> None:
    """An event's id is 32 hex digits: the beginning of its file's name, then the offset of its record."""

    def at(file_id: bytes, offset: int) -> str:
        return frames.Record(file_id, offset + frames.FRAME_SIZE, b"", frames.EVENT).event_id

    assert at(ID, 64) == "0102030405060708090a0b0c" + "00000040"
    assert len({at(file_id, offset) for file_id in (ID, OTHER_ID) for offset in range(5000)}) == 10_000
    assert len(at(ID, 2**32 - 1)) == 32


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"a"', b"1", b'{"a":-1,"b":"x","c":true,"d":1.5}'])
def test_losses_that_make_no_sense_count_nothing(payload: bytes) -> None:
    """A losses record of another shape adds nothing to the operator's books, and breaks nothing."""
    assert frames.decode_losses(payload) == {}


@given(st.dictionaries(st.text(max_size=20), st.integers(1, 2**60)))
def test_losses_come_back_as_they_were(losses: dict[str, int]) -> None:
    """Any counts by reason survive the record."""
    assert frames.decode_losses(frames.encode_losses(losses)) == losses
