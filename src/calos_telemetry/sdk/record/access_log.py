"""Reading a web server's access log: file → lines → obfuscated events, each with an id that a repeat cannot change.

    stream = open_log("access.log.2.gz")
    ids = LineIds(secret)
    for line in read_log(stream):
        if isinstance(line, Malformed): ...         # counted and reported by number, never fatal
        else: store(ids.of(line), line.at_ms, to_event(line, ...))

Formats: common and combined, with or without a virtual host in front, as nginx and Apache write them; whatever follows
the referrer and the user agent is ignored. Memory is bounded whatever the file holds, and so is the time per line.

The last line of a log that is still being written may be cut anywhere. It counts only if it has as many fields as the
line before it: half a line imported today would be another line, counted again, once the file has grown.
"""

import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO, Final

import msgspec

from calos_telemetry.contract.events import METHODS, OTHER_METHOD, UNMATCHED, ApiRequest
from calos_telemetry.sdk.record.log_file import open_log, progress
from calos_telemetry.sdk.record.styles import style_of

__all__ = ["Line", "LineIds", "Malformed", "open_log", "parse_line", "progress", "read_log", "to_event"]

LONGEST_LINE: Final = 131_072  # bytes; nginx and Apache at their default limits stay below, even fully escaped
TWIN_WINDOW: Final = 65_536  # distinct lines between two identical ones that still count as two

_BLOCK: Final = 262_144

# Linear: every repetition is possessive, and what may be skipped in front (the virtual host) is tried once.
_LINE: Final = re.compile(
    r"(?:[^\s:]++:\d{1,5} (?!- )(?=\S++ \S++ \S++ \[)|\S++ (?=[0-9A-Fa-f]*+[.:][0-9A-Fa-f.:]++ \S++ \S++ \[))?"
    r"([^\x00-\x20]++) [^\x00-\x20]++ ((?:[^ ]++| (?!\[\d\d/))++) "  # address, identity, remote user (may hold spaces)
    r"\[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d):([0-5]\d):([0-5]\d|60) ([+-]\d{4})\] "
    r'"([^"\\]*+(?:\\.[^"\\]*+)*+)" ([1-5]\d\d) (\d{1,15}|-)(?![^ ])'
    r'(?: (?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|-) "([^"\\]*+(?:\\.[^"\\]*+)*+))?',  # referrer; user agent, perhaps cut short
    re.ASCII,
)
_PARTS: Final = (
    (re.compile(r" \["), "it has no time in brackets"),
    (re.compile(r' \[\d\d/[A-Z][a-z][a-z]/\d{4}(?::\d\d){3} [+-]\d{4}\] "'), "its time is in no known form"),
    (re.compile(r'\] "[^"\\]*+(?:\\.[^"\\]*+)*+" ', re.ASCII), "its request has no end"),
    (re.compile(r'" [1-5]\d\d (?:\d{1,15}|-)(?![^ ])', re.ASCII), "it has no status and size behind the request"),
)
_FIELD: Final = re.compile(r'\[[^\]]{0,40}+\]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|\S++')
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROL: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}")

_TOO_LONG: Final = f"it is longer than {LONGEST_LINE:,} bytes"
_CUT_SHORT: Final = "it is the last one and not whole: the file is still being written, or was cut"
_NO_SUCH_TIME: Final = "its time does not exist"

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Refused before any route was chosen, or by none: what these paths say was made up by the client, often a scanner.
_UNROUTED: Final = frozenset({400, 404, 414, 421, 431, 444, 494, 495, 496, 497})


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of an access log. It names people: nothing but `to_event`'s result may be stored."""

    number: int  # from 1
    offset: int  # of its first byte, in the unpacked log
    at_ms: int
    method: str  # empty where the request is garbage
    target: str  # as the client sent it; empty where the request is garbage
    status: int
    response_bytes: int
    address: str
    remote_user: str | None
    user_agent: str  # empty where the log has none
    raw: bytes  # without its line end


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A line that cannot be read: its number from 1, and why; never its text, which may name people."""

    number: int
    why: str  # follows "line 17 is left out: "


# -- stream → lines --------------------------------------------------------------------------------------------------


def read_log(stream: BinaryIO) -> Iterator[Line | Malformed]:
    """Read a log line by line, whatever bytes it holds; empty lines count in the numbering only."""
    before = b""
    for number, (offset, raw, ended) in enumerate(_split(stream), start=1):
        if raw is None:
            yield Malformed(number, _TOO_LONG)
        elif not ended and not _is_whole(raw, before):
            yield Malformed(number, _CUT_SHORT)
        elif raw.strip():
            line = parse_line(number, offset, raw)
            before = raw if isinstance(line, Line) else before
            yield line


def parse_line(number: int, offset: int, raw: bytes) -> Line | Malformed:
    """Read one line (without its line end)."""
    text = raw.decode("utf-8", "replace")
    found = _LINE.match(text)
    if found is None:
        return Malformed(number, _why_not(text))
    address, user, hour, minute, second, zone, request, status, size, agent = found.groups()
    start = _hour_ms(hour, zone)
    if start is None:
        return Malformed(number, _NO_SUCH_TIME)
    method, target = _split_request(_unescape(request) if "\\" in request else request)
    return Line(
        number,
        offset,
        start + int(minute) * 60_000 + int(second) * 1_000,
        method,
        target,
        int(status),
        0 if size == "-" else int(size),
        address,
        None if user in {"-", '""'} else _unescape(user),
        "" if agent is None or agent == "-" else _unescape(agent),
        raw,
    )


def _split(stream: BinaryIO) -> Iterator[tuple[int, bytes | None, bool]]:
    """Cut a stream into (offset, line, whether a line end followed); ``None`` stands for a line that is too long."""
    offset, rest, skipped = 0, b"", 0
    while block := stream.read(_BLOCK):
        lines = block.split(b"\n")
        lines[0] = rest + lines[0]
        rest = lines.pop()
        for line in lines:
            size = len(line) + skipped
            yield offset, None if size > LONGEST_LINE else line.removesuffix(b"\r"), True
            offset += size + 1
            skipped = 0
        if len(rest) + skipped > LONGEST_LINE:
            skipped += len(rest)
            rest = b""
    if rest or skipped:
        yield offset, None if len(rest) + skipped > LONGEST_LINE else rest.removesuffix(b"\r"), False


def _is_whole(raw: bytes, before: bytes) -> bool:
    """Say whether a last line without an end is complete: nothing left open, and as many fields as the line before."""
    fields = _fields(raw)
    is_open = any(field[0] in '["' and (len(field) == 1 or field[-1] not in '"]') for field in fields)
    return not is_open and len(fields) >= len(_fields(before))


def _fields(raw: bytes) -> list[str]:
    """Return the fields of a line from its time on."""
    text = raw.decode("utf-8", "replace")
    return _FIELD.findall(text, max(text.find(" ["), 0))


def _why_not(text: str) -> str:
    """Say which part is missing, without a word of the line itself."""
    position = 0
    for part, why in _PARTS:
        found = part.search(text, position)
        if found is None:
            return why
        position = max(found.end() - 3, 0)
    return "it is in no known format"


@lru_cache(maxsize=1_024)
def _hour_ms(hour: str, zone: str) -> int | None:
    """Read ``17/May/2015:10`` and ``+0200`` as the unix ms at which that hour begins; ``None`` if there is none."""
    try:
        start = datetime(int(hour[7:11]), _MONTHS.index(hour[3:6]) + 1, int(hour[:2]), int(hour[12:]), tzinfo=UTC)
    except ValueError:
        return None
    hours, minutes = int(zone[1:3]), int(zone[3:])
    if hours > 15 or minutes > 59:  # noqa: PLR2004 - no zone on Earth
        return None
    ahead = (hours * 60 + minutes) * (-60_000 if zone[0] == "-" else 60_000)
    ms = int(start.timestamp()) * 1_000 - ahead
    return ms if ms >= 0 else None


def _split_request(request: str) -> tuple[str, str]:
    """Split ``GET /a HTTP/1.1``, a target with blanks and HTTP/0.9 too; both parts are empty where it is garbage."""
    method, _, rest = request.partition(" ")
    target, blank, protocol = rest.rpartition(" ")
    if not blank or not protocol.startswith("HTTP/"):
        target = rest
    if not target or not _TOKEN.fullmatch(method):
        return "", ""
    return method, target


def _unescape(text: str) -> str:
    r"""Undo what nginx and Apache write for a quote, a backslash and bytes outside ASCII: ``\"``, ``\\``, ``\xHH``."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_unescaped, text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes.fromhex(found[1].decode())
    return _CONTROL.get(found[2], found[2])


# -- lines → ids and events ------------------------------------------------------------------------------------------


class LineIds:
    """Gives each line its id: the same one wherever the line turns up again (rotated, packed, grown, cut in front).

    Identical lines get different ids, by counting them. The count of a line is forgotten once `TWIN_WINDOW` other lines
    went by, which bounds the memory; identical lines carry the same second, so they are never far apart. A file that
    lacks the first of them counts from zero again and thus yields ids that are known already, never new ones.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"calos-log-line-v1", "sha256")
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def of(self, line: Line) -> str:
        """Return the id of the next line: 32 hex digits, of which nobody without the secret can tell the line."""
        first = hmac.digest(self._key, line.raw, "sha256")[:16]
        seen = self._seen
        count = seen.pop(first, 0)
        seen[first] = count + 1
        if len(seen) > TWIN_WINDOW:
            seen.popitem(last=False)
        if count == 0:
            return first.hex()
        return hmac.digest(self._key, b"%b\n%d" % (line.raw, count), "sha256")[:16].hex()


def to_event(
    line: Line,
    *,
    path_of: Callable[[str], str],
    client_of: Callable[[str], tuple[str | None, str | None]],
    session_of: Callable[[Line], str | None],
    user_of: Callable[[str], str | None],
) -> ApiRequest:
    """Return the obfuscated event of a line; the callables turn what names people into what does not.

    `path_of` gets the path without its query; `client_of` the user agent, for (browser, operating system); `session_of`
    the line; `user_of` the remote user, where there is one. A log tells no duration.
    """
    path = _path_of_target(line.target)
    browser, system = client_of(line.user_agent) if line.user_agent else (None, None)
    template = UNMATCHED if not path or line.status in _UNROUTED else path_of(path)
    return ApiRequest(
        method=line.method if line.method in METHODS else OTHER_METHOD,
        path=template,
        inferred=template != UNMATCHED,
        status=line.status,
        response_bytes=line.response_bytes,
        user=None if line.remote_user is None else user_of(line.remote_user),
        session=session_of(line),
        browser=browser,
        os=system,
        style=style_of(path, not f"{path}/".startswith("/api/")),
    )


def _path_of_target(target: str) -> str:
    """Return the path of a request target, or an empty text where it has none (``*``, ``host:443``, garbage)."""
    if not target.startswith("/"):
        scheme, _, rest = target.partition("://")
        if scheme.lower() not in {"http", "https"}:
            return ""
        target = "/" + rest.partition("/")[2]
    return target.partition("?")[0].partition("#")[0]
