"""The exit gate: a second, independent pass over the frozen bytes, before they may leave.

It knows nothing of the obfuscators.  It reads the bytes as the vendor will, refuses every byte that the closed schema does
not account for and every counter that is not declared, and looks at every text with detectors of its own.  One hit keeps
the whole report here, with the reason; the rows that nobody objects to then travel in a report of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import islice
from typing import Any, TypeVar

import msgspec

from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.report import Report, VerifyRequest, inflate
from calos_telemetry.contract.rows import ErrorRow
from calos_telemetry.errors import ProtocolError

_V4 = re.compile(r"(?<![\d.])(?<!ersion[ =])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_V6 = re.compile(r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f:]{0,38}:[0-9A-Fa-f:.])[0-9A-Fa-f:.]{3,45}(?![0-9A-Za-z:])")


def _is_somebodys(found: str) -> bool:
    """Whether it is the address of a machine among others.

    A time of day or ``a::b`` in the name of a class is no address; ``127.0.0.1`` and ``0.0.0.0`` are every machine's.
    """
    try:
        address = ip_address(found.rstrip(".:") or found)
    except ValueError:
        return False
    return any(map(str.isdigit, found)) and not (address.is_loopback or address.is_unspecified)


_SECRETS: dict[str, re.Pattern[str]] = {
    "an e-mail address": re.compile(
        r"[^\s@/:=]{1,64}(?<!\])(?:[@\uff20]|%40)(?:[\w-]{1,63}\.){1,8}(?=[\w-]{0,62}[^\W\d])[\w-]{2}"
    ),
    "a JSON web token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}"),
    "a PEM block": re.compile(r"-----BEGIN [A-Z ]{1,40}"),
    "a token of a known service": re.compile(
        r"(?<![0-9A-Za-z])(?:(?:sk|rzp)[_-](?:live_|test_|ant-|proj-)[\w-]{12}|gh[pousr]_\w{16}|github_pat_\w{16}"
        r"|(?:[psr]k|whsec|npm|hf)_(?=[A-Za-z_]{0,60}\d)\w{12}|sk-(?=[A-Za-z-]{0,60}\d)[\w-]{12}"
        r"|xox[abeoprs]-\w{4}|A[KS]IA[A-Z0-9]{12}|AIza[\w-]{20}|ya29\.[\w-]{12}|glpat-[\w-]{12}|pypi-\w{16}"
        r"|shp(?:at|ss|ca)_\w{16}|SG\.[\w-]{12,80}\.|dop_v1_\w{16}|hooks\.slack\.com/services/\w"
        r"|Bearer +(?!auth|token)[\w.~+/-]{12}|Basic +(?=[A-Za-z+/]{0,80}[\d=])[\w+/]{12})"
    ),
    "a password in a URL": re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,80}:[^\s/@]{1,80}@"),
    "a password beside its name": re.compile(
        r"(?i)(?:passw\w{0,4}|pwd|secret|token|(?:api|access|account)[_-]?key)[\"']?"
        r"(?:=|: |=[\"']|: ?[\"'])(?=[^\s\[\"']{0,40}\d)[^\s\[\"']{6}"
        r"|(?:passw\w{0,4}|pwd)=[\"']?(?!none|null|true|false|missing|required|invalid|empty)[^\W_][^\s\[\"'=]{3}"
    ),
    "the hash of a password": re.compile(r"\$[0-9a-z-]{1,10}\$[\w./+=$,-]{12}"),
    "a hardware address": re.compile(
        r"(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![0-9A-Za-z:-])"
        r"|(?<![\w.])(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?![\w.])"
    ),
    "a home directory": re.compile(r"[A-Za-z]:\\{1,2}[Uu]sers\\{1,2}[^\s/\\\[:]{1,80}"),
}
_HOME = re.compile(r"(?:/home/|/Users/)[^\s/\\\[:]{1,80}")
_TEMPLATES = frozenset({"path", "key"})
"""Fields that hold routes: ``/home/about`` is a page there."""
_NUMBERS: dict[str, re.Pattern[str]] = {
    "a long number": re.compile(
        r"(?<!\d)(?!\d{4}-\d\d-\d\d[ T]\d\d:)\d(?:(?:[ .-]|\) ?| \()?\d){8}"
        r"(?!\d{0,12}(?: ?[kKMG]?i?B|[ -]bytes?| ?[mun]s)\b)"  # a measure
    ),
    "a long hexadecimal number": re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{24,}(?![0-9A-Za-z])"),
    "a UUID": re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"),
    "a random identifier": re.compile(
        r"(?<![0-9A-Za-z])(?!0x|0000)(?=[A-Za-z]{0,20}(?:\d{1,12}[A-Za-z]{1,20}){3})[0-9A-Za-z]{16}"
    ),
}
_SHAPED = frozenset(
    {"install_id", "install_key", "license_id", "proof", "previous", "fingerprint", "domain", "date", "day"}
)
"""Fields whose shape the schema fixes, or that the operator chose to show (the domain of the license)."""
_VERSIONS = frozenset({"app", "sdk", "python", "os"})
"""Version numbers: they hold dots and digits as addresses do."""

_MOST_NAMED = 5
S = TypeVar("S", bound=msgspec.Struct)


def findings(body: bytes) -> Iterator[str]:
    """Yield, in words and without the value, every reason why ``body`` must not leave."""
    try:
        plain = inflate(body)
        request = msgspec.json.decode(plain, type=VerifyRequest)
    except (ProtocolError, ValueError, RecursionError) as error:
        yield f"the bytes do not follow the schema: {error}"
        return
    if msgspec.json.encode(request) != plain:
        # A field that the types do not know, one that stands twice, a number in another form: all of them end here.
        yield "the bytes hold something that the schema does not account for"
        return
    if request.telemetry is not None and any(row.counter not in COUNTER_NAMES for row in request.telemetry.aggregates):
        yield "a counter is not in the list of counters"
    found = list(_objections(msgspec.to_builtins(request)))
    yield from found
    if found and request.telemetry is not None and (failures := _suspected(request.telemetry.errors)):
        yield f"the failures are {', '.join(failures)}"


def _suspected(rows: list[ErrorRow]) -> list[str]:
    """Return the fingerprints by which the operator finds the first failures that are objected to."""
    suspects = (row for row in rows if next(_objections(msgspec.to_builtins(row)), None) is not None)
    return [row.fingerprint for row in islice(suspects, _MOST_NAMED)]


def without_suspects(report: Report) -> Report:
    """Return ``report`` without the rows that :func:`findings` would object to."""
    return msgspec.structs.replace(
        report,
        features=_clean(report.features),
        errors=_clean(report.errors),
        performance=_clean(report.performance),
        aggregates=[row for row in _clean(report.aggregates) if row.counter in COUNTER_NAMES],
    )


def _clean(rows: list[S]) -> list[S]:
    return [row for row in rows if next(_objections(msgspec.to_builtins(row)), None) is None]


def _objections(value: Any) -> Iterator[str]:
    """Yield what the texts of each field look like.  Every text of a field is looked at in one go, so that it is fast."""
    texts: dict[str, dict[str, None]] = {}
    for where, text in _texts(value, ""):
        texts.setdefault(where, {})[text] = None
    for where, distinct in texts.items():
        together = "\n".join(distinct)  # no detector looks across a line feed
        for kind, seen in _detectors_for(where.rpartition(".")[2]):
            if seen(together):
                yield f"{where} looks like {kind}"


def _detectors_for(field: str) -> Iterator[tuple[str, Callable[[str], object]]]:
    yield from ((kind, pattern.search) for kind, pattern in _SECRETS.items())
    if field not in _TEMPLATES:
        yield "a home directory", _HOME.search
    if field not in _VERSIONS:
        yield from ((kind, pattern.search) for kind, pattern in _NUMBERS.items())
        yield "an IPv4 address", lambda text: any(map(_is_somebodys, _V4.findall(text)))
        yield "an IPv6 address", lambda text: any(map(_is_somebodys, _V6.findall(text)))


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, where)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield where, str(key)  # the reasons in ``dropped`` are texts too; the names of fields pass every detector
            if key not in _SHAPED:
                yield from _texts(item, f"{where}.{key}" if where else str(key))
