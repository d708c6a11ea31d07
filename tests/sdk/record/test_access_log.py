"""Access logs: what is read, what is left out, what a line becomes, and that nothing is counted twice."""

from __future__ import annotations

import io
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.sdk.record.log_reading import AT, COMBINED, COMMON, lines_of, only

from calos_telemetry.clock import to_datetime
from calos_telemetry.contract.events import from_record, to_record
from calos_telemetry.sdk.record import access_log
from calos_telemetry.sdk.record.access_log import Line, Malformed, read_log, to_event

# -- one line ----------------------------------------------------------------------------------------------------------


def test_combined_line_gives_every_field() -> None:
    """A combined line is read into its fields, with its own time and its place in the file."""
    line = only(COMBINED)
    assert line == Line(
        1, 0, AT, "GET", "/a/7?q=1", 200, 512, "1.2.3.4", None, "Mozilla/5.0 (X11)", COMBINED
    )  # fmt: skip


def test_common_line_has_no_user_agent() -> None:
    """A common line is read too; what it does not have is empty."""
    assert only(COMMON).user_agent == ""


@pytest.mark.parametrize(
    ("front", "address", "user"),
    [
        (b"1.2.3.4 - -", "1.2.3.4", None),
        (b"2001:db8::1 - -", "2001:db8::1", None),
        (b"::1 - anna", "::1", "anna"),
        (b"host.example.net ident anna.b@example.com", "host.example.net", "anna.b@example.com"),
        (b"1.2.3.4 - Anna Maria [x]", "1.2.3.4", "Anna Maria [x]"),
        (b'1.2.3.4 - ""', "1.2.3.4", None),
        (b"1.2.3.4 - j\\xC3\\xB6rg", "1.2.3.4", "jörg"),
        (b"1.2.3.4 - j\xc3\xb6rg", "1.2.3.4", "jörg"),
        (b"example.com:443 1.2.3.4 - -", "1.2.3.4", None),
        (b"example.com:443 client.isp.net - bob", "client.isp.net", "bob"),
        (b"example.com:443 2001:db8::1 - -", "2001:db8::1", None),
        (b"example.com 1.2.3.4 - -", "1.2.3.4", None),
        (b"[::1]:8080 1.2.3.4 - -", "1.2.3.4", None),
        (b"1.2.3.4:5678 - -", "1.2.3.4:5678", None),
        (b"1.2.3.4:5678 - Anna Maria", "1.2.3.4:5678", "Anna Maria"),
        (b"unix: - -", "unix:", None),
    ],
)
def test_front_of_a_line(front: bytes, address: str, user: str | None) -> None:
    """Address and user are found whatever stands in front of the time: virtual host, port, IPv6, blanks, escapes."""
    line = only(front + COMBINED[COMBINED.index(b" [") :])
    assert (line.address, line.remote_user) == (address, user)


@pytest.mark.parametrize(
    ("request_", "method", "target"),
    [
        (b"GET / HTTP/2.0", "GET", "/"),
        (b"PROPFIND /dav HTTP/1.1", "PROPFIND", "/dav"),
        (b"GET /a b c HTTP/1.1", "GET", "/a b c"),
        (b"GET /old", "GET", "/old"),
        (b'GET /say/\\"hi\\" HTTP/1.1', "GET", '/say/"hi"'),
        (b"GET /say/\\x22hi\\x22 HTTP/1.1", "GET", '/say/"hi"'),
        (b"GET /back\\\\slash\\t HTTP/1.1", "GET", "/back\\slash\t"),
        (b"GET /caf\xc3\xa9 HTTP/1.1", "GET", "/café"),
        (b"GET /bad\xff HTTP/1.1", "GET", "/bad\ufffd"),
        (b"\\x16\\x03\\x01\\x02", "", ""),
        (b"\x16\x03\x01", "", ""),
        (b"-", "", ""),
        (b"", "", ""),
        (b"{json: 1} /x HTTP/1.1", "", ""),
        (b"OPTIONS * HTTP/1.0", "OPTIONS", "*"),
    ],
)
def test_request_of_a_line(request_: bytes, method: str, target: str) -> None:
    """The request is split into method and target; garbage that is no request leaves both empty."""
    line = only(COMBINED.replace(b"GET /a/7?q=1 HTTP/1.1", request_))
    assert (line.method, line.target, line.status) == (method, target, 200)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (b"17/May/2015:12:05:03 +0200", AT),
        (b"17/May/2015:04:35:03 -0530", AT),
        (b"17/May/2015:10:04:60 +0000", AT - 3_000),
        (b"29/Feb/2024:23:59:59 +0000", 1_709_251_199_000),
        (b"01/Jan/1970:00:00:00 +0000", 0),
    ],
)
def test_time_of_a_line(stamp: bytes, expected: int) -> None:
    """Time zones, leap days and leap seconds come out as the right UTC millisecond."""
    assert only(COMBINED.replace(b"17/May/2015:10:05:03 +0000", stamp)).at_ms == expected


def test_missing_size_is_zero_bytes() -> None:
    """A `-` for the size (no body was sent) is read as 0."""
    assert only(COMBINED.replace(b"512", b"-")).response_bytes == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not a log line", "it has no time in brackets"),
        (b"1.2.3.4 - - [2015-05-17T10:05:03] " + COMMON[41:], "its time is in no known form"),
        (COMMON.replace(b"17/May", b"30/Feb"), "its time does not exist"),
        (COMMON.replace(b"17/May", b"17/Mai"), "its time does not exist"),
        (COMMON.replace(b"2015:10", b"2015:25"), "its time does not exist"),
        (COMMON.replace(b"2015", b"0000"), "its time does not exist"),
        (COMMON.replace(b"2015", b"1969"), "its time does not exist"),
        (COMMON.replace(b"+0000", b"+9900"), "its time does not exist"),
        (COMMON[:60], "its request has no end"),
        (COMMON.replace(b"512", b"many"), "it has no status and size behind the request"),
        (COMMON.replace(b"512", b"9" * 30), "it has no status and size behind the request"),
        (COMMON.replace(b" 200 512", b" 20"), "it has no status and size behind the request"),
        (b"\x00" * 50 + COMMON, "it is in no known format"),
    ],
)
def test_malformed_lines_say_why(line: bytes, reason: str) -> None:
    """What cannot be read is reported by number and reason, and no word of the line is in the report."""
    (found,) = lines_of(line + b"\n")
    assert found == Malformed(1, reason)


def test_a_user_name_cannot_forge_a_request() -> None:
    """A visitor who logs in under a name that looks like the rest of a line does not choose what is recorded."""
    forged = b'x [17/May/2015:10:05:03 +0000] \\"DELETE /all HTTP/1.1\\" 200 5'
    found = lines_of(b"1.2.3.4 - " + forged + COMMON[11:] + b"\n")
    assert [line for line in found if isinstance(line, Line) and line.method == "DELETE"] == []


# -- a whole log -------------------------------------------------------------------------------------------------------


def test_line_ends_and_empty_lines() -> None:
    """CRLF equals LF, empty lines are passed over, and numbers and offsets stay those of the file."""
    found = lines_of(COMBINED + b"\r\n\n  \r\n" + COMBINED + b"\nwhat\n")
    assert [line.number for line in found] == [1, 4, 5]
    first, second = found[:2]
    assert isinstance(first, Line)
    assert isinstance(second, Line)
    assert first.raw == second.raw == COMBINED
    assert second.offset == len(COMBINED) + 2 + 1 + 4


@pytest.mark.parametrize("log", [COMBINED, COMMON, COMMON + b"\n" + COMMON, COMBINED + b"\n" + COMBINED + b"\r"])
def test_whole_last_line_without_an_end_counts(log: bytes) -> None:
    """A last line that lacks nothing but its line end is read."""
    assert all(isinstance(line, Line) for line in lines_of(log))


@pytest.mark.parametrize("cut", range(1, len(COMBINED) - 1))
def test_last_line_cut_anywhere_is_left_out(cut: int) -> None:
    """Wherever the last line is cut, it is left out, so that the grown file does not count it a second time."""
    found = lines_of(COMBINED + b"\n" + COMBINED[:cut])
    assert isinstance(found[0], Line)
    assert [type(line) for line in found[1:]] in ([Malformed], [])


def test_line_cut_in_its_user_agent_still_counts() -> None:
    """A line inside the log whose user agent lacks its end (the sample has one) holds all that is counted."""
    assert only(COMBINED[:-4]).user_agent == "Mozilla/5.0 (X"


def test_too_long_lines_are_skipped() -> None:
    """A line above the limit is left out, one at the limit is read, and the lines around it are untouched."""
    fits = COMMON + b" " + b"x" * (access_log.LONGEST_LINE - len(COMMON) - 1)
    log = b"\n".join([COMBINED, fits, fits + b"x", b"y" * 3_000_000, COMBINED, b"z" * 1_000_000])
    found = lines_of(log)
    assert [line.number for line in found if isinstance(line, Line)] == [1, 2, 5]
    assert {line.why for line in found if isinstance(line, Malformed)} == {"it is longer than 131,072 bytes"}
    last = found[4]
    assert isinstance(last, Line)
    assert log[last.offset :].startswith(COMBINED)


class Endless(io.RawIOBase):
    """A stream of `size` bytes without a line end, made as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        taken = min(len(buffer), self.left)
        buffer[:taken] = b"x" * taken
        self.left -= taken
        return taken


def test_a_line_of_100_mb_needs_little_memory() -> None:
    """Memory stays bounded on a line of 100 MB."""
    tracemalloc.start()
    found = list(read_log(io.BufferedReader(Endless(100_000_000))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line.number for line in found] == [1]
    assert peak < 4_000_000


@pytest.mark.parametrize(
    "piece",
    [b'"', b"\\", b'\\"', b"[", b'] "', b" ", b'" "', b"a:1 ", b" [17/May/2015:10:05:03 +0000] ", b"\xff", b"[["],
)
@pytest.mark.parametrize("front", [b"", COMMON[:30], COMMON[:42], COMMON + b' "'])
def test_hostile_lines_take_linear_time(piece: bytes, front: bytes) -> None:
    """The longest line there can be, built to make a pattern try again and again, is done within a fraction of a second."""
    log = front + piece * ((access_log.LONGEST_LINE - len(front)) // len(piece))
    begin = time.perf_counter()
    lines_of(log)
    lines_of(log + b"\n")
    assert time.perf_counter() - begin < 2


@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from([COMBINED, b"\n", b'"', b" [", b"\r\n", b"\x1f\x8b"])).map(b"".join)
)
@example(b"\n")
@example(b'1 1 1 [01/Jan/0001:00:00:00 +0000] "" 000 -')
def test_garbage_never_raises(garbage: bytes) -> None:
    """Whatever bytes a log holds, it is read to its end, no line is lost or invented, and each one makes an event."""
    found = lines_of(garbage)
    numbers = [line.number for line in found]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= garbage.count(b"\n") + 1 for number in numbers)
    for line in found:
        if isinstance(line, Line):
            assert garbage[line.offset :].startswith(line.raw)
            event = to_event(
                line, path_of=str, client_of=lambda _: (None, None), session_of=lambda _: None, user_of=lambda _: None
            )
            assert from_record(to_record(line.at_ms, event)) == (line.at_ms, event)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
WORD = st.text(
    st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters=' "\\'), min_size=1, max_size=9
)


def escaped(text: str, server: str) -> str:
    if server == "apache":
        return text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(f"\\x{byte:02X}" if byte in b'"\\' or byte > 126 else chr(byte) for byte in text.encode())


@given(
    host=st.sampled_from(["", "shop.example:443 ", "shop.example "]),
    address=st.ip_addresses().map(str),
    user=WORD,
    at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001 - hypothesis wants naive bounds
    target=TEXT,
    status=st.integers(100, 599),
    size=st.none() | st.integers(0, 10**15 - 1),
    agent=TEXT,
    server=st.sampled_from(["apache", "nginx"]),
)
def test_lines_built_from_fields_are_read_back(
    *,
    host: str,
    address: str,
    user: str,
    at: datetime,
    target: str,
    status: int,
    size: int | None,
    agent: str,
    server: str,
) -> None:
    """What a server writes about a request, in either server's escaping, is what we read."""
    line = only(
        f"{host}{address} - {user} [{at:%d/%b}/{at.year:04}:{at:%H:%M:%S} +0000] "
        f'"GET /{escaped(target, server)} HTTP/1.1" {status} {"-" if size is None else size} '
        f'"-" "{escaped(agent, server)}"'.encode()
    )
    assert (line.address, line.remote_user) == (address, None if user == "-" else user)
    assert to_datetime(line.at_ms) == at.replace(tzinfo=UTC, microsecond=0)
    assert (line.method, line.target, line.status) == ("GET", "/" + target, status)
    assert (line.response_bytes, line.user_agent) == (size or 0, "" if agent == "-" else agent)
