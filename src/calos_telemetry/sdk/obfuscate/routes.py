r"""A framework's own route pattern to template: nothing is guessed, every parameter becomes `:id`.

One scanner reads them all, because the notations do not contradict each other: Starlette, FastAPI, Litestar, aiohttp
and Falcon write ``{id:int}``, Flask, Django's path() and Bottle ``<int:id>``, Express ``:id(\d+)``, Django's re_path()
a regular expression, and Django joins the last two kinds with include().
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from calos_telemetry.contract.fields import MAX_PATH
from calos_telemetry.sdk.obfuscate.boundary import fail_closed
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED

ID: Final = ":id"
MOST_SEGMENTS: Final = 12
_LONGEST_ROUTE: Final = 2048
_DEEPEST: Final = 8  # groups within groups; what lies deeper counts as one parameter

_EXPRESS: Final = re.compile(r":[A-Za-z_]\w*")
_SPLAT: Final = re.compile(r"\*+\w*")
_QUANTIFIER: Final = re.compile(r"(?:[?*+]|\{\d*,?\d*\})[?+]?")
_OUTSIDE_ALPHABET: Final = re.compile(r"[^A-Za-z0-9/:._~$()-]")
_SAME_PARAMETER: Final = re.compile(r"(?::id){2,}(?![A-Za-z])")  # [a-z]\d+ is one value, though two pieces of a pattern
_PARAMETER_OPENS: Final = ("", "{", "<")
_CLASSES: Final = frozenset("dDwWsS")
_ANCHORS: Final = frozenset("AZbBz")
_WITHOUT_WIDTH: Final = ("?=", "?!", "?<=", "?<!", "?#")
_FLAGS: Final = re.compile(r"\?[aiLmsux-]+(:|$)")

_Step = tuple[str, int]  # what to write, and where to go on reading


def template_of_route(route: str) -> str:
    r"""Return the template of a framework's route: `/users/<int:id>/` and `^users/(?P<id>\d+)/$` give `/users/:id/`.

    At most 200 characters and 12 segments; a character outside the templates' alphabet is written as ``_``.
    """
    return route_template(route[:_LONGEST_ROUTE]) if type(route) is str else REDACTED


@lru_cache(maxsize=4096)
@fail_closed
def route_template(route: str) -> str:
    """Read a whole pattern and bound what comes out."""
    text = _SAME_PARAMETER.sub(ID, _scan(route, 0))
    segments = [segment for segment in _OUTSIDE_ALPHABET.sub("_", text).split("/") if segment]
    return bounded(segments, ends_in_slash=text.endswith("/"))


def bounded(segments: list[str], *, ends_in_slash: bool) -> str:
    """Join the segments of a template, dropping whole ones from the end until it fits."""
    whole = 0 < len(segments) <= MOST_SEGMENTS
    template = "/" + "/".join(segments[:MOST_SEGMENTS]) + ("/" if ends_in_slash and whole else "")
    while len(template) > MAX_PATH:
        template = template[: template.rindex("/")]
    return template or "/"


def _scan(route: str, depth: int) -> str:
    """Read a pattern from left to right and write its template."""
    written = ""
    at = 0
    while at < len(route):
        read = _READERS.get(route[at], _literal)
        piece, at = read(route, at, written, depth)
        written += piece
    return written


def _literal(route: str, at: int, written: str, depth: int) -> _Step:
    del written, depth
    return route[at], at + 1


def _nothing(route: str, at: int, written: str, depth: int) -> _Step:
    """Skip an anchor or a quantifier of something literal (``^``, ``/?``)."""
    del route, written, depth
    return "", at + 1


def _dollar(route: str, at: int, written: str, depth: int) -> _Step:
    """Keep the dollar of OData's ``$metadata``; elsewhere it is the end of a regular expression."""
    del written, depth
    return ("$" if route[at + 1 : at + 2].isalpha() else ""), at + 1


def _dot(route: str, at: int, written: str, depth: int) -> _Step:
    """Read ``.*`` and ``.+`` as a parameter, any other dot as itself."""
    del written, depth
    if route[at + 1 : at + 2] in ("*", "+"):
        return ID, _after_quantifier(route, at + 1)
    return ".", at + 1


def _colon(route: str, at: int, written: str, depth: int) -> _Step:
    """Read Express's ``:id`` with its pattern; right behind a word or a parameter a verb begins (``{id}:cancel``)."""
    del depth
    name = _EXPRESS.match(route, at)
    if name is None or written[-1:].isalnum():
        return ":", at + 1
    end = name.end()
    if route[end : end + 1] == "(":
        end = _closing(route, end, "()")
    return ID, _after_quantifier(route, end)


def _braces(route: str, at: int, written: str, depth: int) -> _Step:
    """Read ``{id}``; Express 5's ``{/:id}`` is an optional piece of path with parameters of its own."""
    del written
    end = _closing(route, at, "{}")
    inside = route[at + 1 : end - 1]
    if inside.startswith(("/", ":")) and depth < _DEEPEST:
        return _scan(inside, depth + 1), end
    return ID, end


def _angles(route: str, at: int, written: str, depth: int) -> _Step:
    del written, depth
    return ID, _closing(route, at, "<>")


def _class(route: str, at: int, written: str, depth: int) -> _Step:
    """Read a character class of a regular expression; a bracket that begins the class is a member of it."""
    del written, depth
    first = at + 1 + (route[at + 1 : at + 2] == "^")
    end = route.find("]", first + 1)
    return ID, _after_quantifier(route, end + 1 if end >= 0 else len(route))


def _group(route: str, at: int, written: str, depth: int) -> _Step:
    """Read a group: a capturing one is a parameter, ``(?:...)`` is read through unless it holds alternatives."""
    del written
    end = _closing(route, at, "()")
    inside = route[at + 1 : end - 1]
    if inside[:1] in _PARAMETER_OPENS:  # OData's /Orders({id}) and f()
        return f"({_scan(inside, depth + 1)})", end
    end = _after_quantifier(route, end)
    if inside.startswith(_WITHOUT_WIDTH):
        return "", end
    flags = _FLAGS.match(inside)
    if flags and flags[1] != ":":
        return "", end
    inner = inside[2:] if inside.startswith("?:") else inside[flags.end() :] if flags else None
    if inner is None or "|" in inner or depth >= _DEEPEST:
        return ID, end
    return _scan(inner, depth + 1), end


def _escape(route: str, at: int, written: str, depth: int) -> _Step:
    r"""Read ``\d`` as a parameter and ``\.`` as a dot."""
    del written, depth
    character = route[at + 1 : at + 2]
    if character in _CLASSES:
        return ID, _after_quantifier(route, at + 2)
    return ("" if character in _ANCHORS else character), at + 2


def _star(route: str, at: int, written: str, depth: int) -> _Step:
    """Read a catch-all: ``*``, ``**``, ``*rest``."""
    del written, depth
    match = _SPLAT.match(route, at)
    return ID, match.end() if match else at + 1


def _closing(route: str, at: int, pair: str) -> int:
    """Find the end of what opens at `at`, minding nesting, escapes and character classes; an open end is the end."""
    depth = 0
    while at < len(route):
        character = route[at]
        if character == "\\":
            at += 1
        elif character == "[" and pair == "()":
            close = route.find("]", at + 2)
            at = close if close >= 0 else len(route)
        elif character in pair:
            depth += 1 if character == pair[0] else -1
            if depth == 0:
                return at + 1
        at += 1
    return len(route) + 1


def _after_quantifier(route: str, at: int) -> int:
    quantifier = _QUANTIFIER.match(route, at)
    return quantifier.end() if quantifier else at


_READERS: Final[dict[str, Callable[[str, int, str, int], _Step]]] = {
    "{": _braces,
    "<": _angles,
    "(": _group,
    "[": _class,
    "\\": _escape,
    ":": _colon,
    ".": _dot,
    "*": _star,
    "$": _dollar,
    "^": _nothing,
    "?": _nothing,
    "+": _nothing,
}
