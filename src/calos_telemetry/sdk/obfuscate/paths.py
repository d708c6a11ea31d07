"""URL path to template: `/api/users/123/transactions/456` becomes `/api/users/:id/transactions/:id`.

Where a framework knows the route, `template_of_route` reads the route's own pattern and there is nothing to guess.
`obfuscate_path` is for the rest. It looks at one segment at a time: a segment is kept when it reads as words, a version
or a technical term, and becomes `:id` when it has the shape of an identifier or any character outside the alphabet.
Scheme, host, query, fragment and matrix parameters never survive.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from calos_telemetry.contract.choices import WORDS
from calos_telemetry.sdk.obfuscate.boundary import fail_closed
from calos_telemetry.sdk.obfuscate.opaque import is_opaque
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED
from calos_telemetry.sdk.obfuscate.routes import ID, MOST_SEGMENTS, bounded, template_of_route

__all__ = ["obfuscate_path", "template_of_route"]

_LONGEST_INPUT: Final = 4096  # characters; what lies behind cannot reach the template anyway
_LONGEST_SEGMENT: Final = 64
_MOST_WORDS: Final = 7  # a longer slug is a title, and titles are free text
_UNQUOTE_PASSES: Final = 4

_CONSTANTS: Final = frozenset({"(unmatched)", "(other)", REDACTED})
_ORIGIN: Final = re.compile(r"\A\s*[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\]*")
_TAIL: Final = re.compile(r"[?#].*", re.DOTALL)
_MATRIX: Final = re.compile(r";[^/]*")  # /users;id=5
_SLASHES: Final = re.compile(r"[/\\]+")
_UNUSUAL: Final = re.compile(r"[?#;\\]|//")  # without any of these there is neither origin nor tail nor matrix
_TOKEN: Final = re.compile(r"[$]?[A-Za-z0-9._~-]+")
_NOT_LITERAL: Final = re.compile(r"[/():]")
_LITERAL: Final = re.compile(r"[A-Za-z0-9._~$-]*")
_VERB: Final = re.compile(r"(.+):([a-z][a-zA-Z]{1,30})")  # Google's custom verbs: /things/{id}:cancel
_CALL: Final = re.compile(r"([A-Za-z][A-Za-z_.]{0,40})\(.*\)")  # OData: /Orders(5)
_DATE: Final = re.compile(r"(?:19|20)\d\d-\d\d(?:-\d\d)?")
_VERSION: Final = re.compile(r"\d{1,2}(?:\.\d{1,2}){1,2}")
_LOW_NUMBERS: Final = frozenset("0123456789")
_HOST: Final = re.compile(
    r"(?:[a-z0-9-]+\.)+(?:com|net|org|edu|gov|mil|biz|local|lan|internal|localhost|[a-z]{2}\.[a-z]{2}|de|fr|it|es|nl|be|at|ch|uk|eu|dk|se|fi|pl|cz|pt|ie|ro|hu|gr|tr|ru|ua|br|mx|ar|cl|jp|cn|kr|au|nz|za|ca)|(?:\d+\.){3}\d+",
    re.IGNORECASE,
)
# API versions are dates or bare numbers in these places only: /api/2024-01/orders.json, /openstack/2013-10-17, /v/4
_BEFORE_DATE: Final = frozenset({"api", "apis", "rest", "version", "versions", "openstack", "latest", "v"})
_INTERFACES: Final = frozenset({"api", "xmlrpc"})
_BEFORE_NUMBER: Final = frozenset({"v", "version", "api-version"})
# What follows one of these and is spelled as a name is one: /users/Maria, /employees/maria.lopez
_PERSONS_WORDS: Final = """
user users username usernames login logins member members people person persons customer customers employee employees
patient patients student students contact contacts author authors profile profiles
"""
_SHAPED: Final = "no word, version or technical term, so it may be an identifier"
_NAMED: Final = "a name, because of the word before it"
_PERSONS: Final = frozenset(_PERSONS_WORDS.split())
_NAME: Final = re.compile(r"[A-Z][a-z]+|[A-Za-z]+\.(?!json|xml|csv|pdf|html?|txt|ya?ml|php|aspx?)[A-Za-z]+")


def obfuscate_path(path: object) -> str:
    """Return the template of a URL path: at most 200 characters and 12 segments of letters, digits and ``/:._~$()-``.

    Anything that is not text becomes ``[REDACTED]``. The function is pure, idempotent and linear in its input.
    """
    if type(path) is not str:
        return _obfuscate_other(path)
    return path_template(path[:_LONGEST_INPUT])


def _obfuscate_other(path: object) -> str:
    """Read bytes and subclasses of `str` without calling a method that the caller's class could have replaced."""
    if issubclass(type(path), str):
        return path_template(str.__str__(path)[:_LONGEST_INPUT])
    if type(path) is bytes:
        return path_template(path[:_LONGEST_INPUT].decode("latin-1"))
    return REDACTED


@lru_cache(maxsize=4096)
@fail_closed
def path_template(path: str) -> str:
    """Replace, segment by segment, everything that looks like an identifier."""
    if path in _CONSTANTS:
        return path
    cut = len(path) == _LONGEST_INPUT
    path = _bare(path)
    segments = list(filter(None, path.split("/")))
    if cut:
        segments = [*segments[:-1], ID]  # half an identifier may look like a word
    end = len(segments) - 1
    kept: list[str] = []
    before = ""
    for position, segment in enumerate(segments[: MOST_SEGMENTS + 1]):
        template = _segment(segment)
        if template == ID:  # what a segment looks like is corrected by the place where it stands
            if _is_version_here(segment, before, position, last=position == end):
                template = segment
        elif before in _PERSONS and _NAME.fullmatch(template):
            template = ID
        kept.append(template)
        before = template
    return bounded(kept, ends_in_slash=path.endswith("/"))


def _bare(path: str) -> str:
    """Return a path without origin, query, fragment and matrix parameters."""
    if _UNUSUAL.search(path):
        return _MATRIX.sub("", _SLASHES.sub("/", _TAIL.sub("", _ORIGIN.sub("", path))))
    return path


def explain_path(path: str) -> list[str]:
    """Say what :func:`obfuscate_path` changes in ``path``, and why, in order of appearance."""
    template, bare = obfuscate_path(path), _bare(path[:_LONGEST_INPUT])
    if template in _CONSTANTS:
        return []
    segments = list(filter(None, bare.split("/")))
    kept = list(filter(None, template.split("/")))
    said = [
        f"{segment} -> {shown}: {_NAMED if _segment(segment) == segment else _SHAPED}"
        for segment, shown in zip(segments, kept, strict=False)
        if segment != shown
    ]
    if len(segments) > len(kept):
        said.append(f"only {len(kept)} of {len(segments)} segments are kept: a template is short")
    if bare != path:
        said.append("scheme, host, query, fragment and parameters of a segment are never kept")
    return said


def _is_version_here(segment: str, before: str, position: int, *, last: bool) -> bool:
    """Say whether a number or a date is the version of the interface, judging by the place where it stands."""
    if len(segment) == 1 and segment in _LOW_NUMBERS:
        starts_path = position == 0 and segment in "123"
        return before in _BEFORE_NUMBER or (
            not last and (starts_path or before in _INTERFACES)
        )  # Jira's /rest/api/3/issue
    if _VERSION.fullmatch(segment):
        return True
    return before in _BEFORE_DATE and _DATE.fullmatch(segment) is not None


@lru_cache(maxsize=4096)
def _segment(segment: str) -> str:
    """Return the segment itself when it reads as words, otherwise `:id` (with a literal verb or function name kept)."""
    if segment in WORDS:
        return segment
    return ID if segment.isdigit() else _judged(segment)


def _judged(segment: str) -> str:
    """Judge a segment that is neither a word of business software nor a plain number."""
    if "%" in segment:
        segment = _unquoted(segment)
    if segment == ID or len(segment) > _LONGEST_SEGMENT:
        return ID
    if ID in segment and _is_template(segment):
        return segment
    if _TOKEN.fullmatch(segment):
        return ID if _is_identifier(segment.lstrip("$") if segment[0] == "$" else segment) else segment
    if call := _CALL.fullmatch(segment):
        name = ID if _is_identifier(call[1]) else call[1]
        return f"{name}({ID if segment[-2] != '(' else ''})"
    if (verb := _VERB.fullmatch(segment)) and not _is_identifier(verb[2]):
        return f"{_segment(verb[1])}:{verb[2]}"
    return ID


def _is_template(segment: str) -> bool:
    """Say whether a segment is what a route of several parameters left: `:id.:id`, `page-:id`, `Orders(:id)`."""
    literals = _NOT_LITERAL.split(segment.replace(ID, "/"))
    return all(_LITERAL.fullmatch(one) and not (one.strip("._~-") and is_opaque(one)) for one in literals)


def _unquoted(segment: str) -> str:
    """Undo percent-encoding, also when it was applied more than once; bytes above ASCII stay outside the alphabet."""
    for _ in range(_UNQUOTE_PASSES):
        plain = unquote_to_bytes(segment.encode("utf-8", "replace")).decode("latin-1")
        if plain == segment:
            break
        segment = plain
    return segment


def _is_identifier(token: str) -> bool:
    """Judge one token of ASCII letters, digits and ``-_.~``."""
    return (
        token.count("-") >= _MOST_WORDS
        or is_opaque(token)
        or ("." in token and _HOST.fullmatch(token) is not None)
        or not token.strip("._~-")
        or (token[0] == "-" and token[1:].isdigit())
    )
