"""Free text without the people in it: error messages, log lines, whatever a program says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from calos_telemetry.sdk.obfuscate.boundary import fail_closed
from calos_telemetry.sdk.obfuscate.folding import fold, visible
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED

if TYPE_CHECKING:
    from calos_telemetry.sdk.obfuscate.detectors import Span

LONGEST_OUTPUT: Final = 2500
"""Characters an obfuscated message has at most, unless the caller wants fewer."""

_WINDOW: Final = 4096  # characters that are read at all
_MARGIN: Final = 512  # read, but not shown: what begins before it is seen to its end
_MOST_PASSES: Final = 8
_CUT: Final = "..."
_LAST_WORD: Final = 64
_GOES_ON: Final = re.compile(r"[^\W_]|_|[.:,+@%-](?=[\w.:@+%-])(?!:\d{1,5}(?!\w))")  # a port behind an address does not
_MOST_ARGUMENTS: Final = 8

_RECENT: Final[dict[tuple[int, int, int], str]] = {}
"""Answers given lately, since a failing program repeats itself.

The keys are hashes under Python's own random key of this process, so nothing raw stays in memory.  Should two texts
ever share a hash and a length, one of them gets the other's answer, which is scrubbed all the same.
"""
_MOST_RECENT: Final = 4096
_LONGEST_RECENT: Final = 500


class Change(NamedTuple):
    """One place that a rule took out: ``start`` and ``end`` count characters of the text without invisible ones."""

    rule: str
    placeholder: str
    start: int
    end: int
    why: str


@fail_closed
def obfuscate_message(text: object, longest: int = LONGEST_OUTPUT) -> str:
    """Return ``text`` with every person and secret in it replaced by the word for its kind, ``longest`` characters at most.

    Strings, bytes, numbers, booleans, ``None`` and exceptions are read; anything else is ``[REDACTED]``, because asking
    a stranger's object for its text runs a stranger's code.  Applying it twice changes nothing more.
    """
    raw = text if type(text) is str else _readable(text)
    if raw is None:
        return REDACTED
    key = (hash(raw), len(raw), longest)
    answer = _RECENT.get(key)
    if answer is None:
        answer = _scrubbed(raw, longest)
        _remember(key, answer)
    return answer


def _remember(key: tuple[int, int, int], answer: str) -> None:
    if len(answer) <= _LONGEST_RECENT:
        if len(_RECENT) >= _MOST_RECENT:
            _RECENT.clear()
        _RECENT[key] = answer


def warm_up() -> None:
    """Compile every rule now (a quarter of a second), best in a thread of its own, so that no request pays for it."""
    from calos_telemetry.sdk.obfuscate.detectors import compile_all  # noqa: PLC0415

    compile_all()


def explain_message(text: object) -> list[Change]:
    """Return what :func:`obfuscate_message` takes out of ``text`` in its first pass, and why, in order of appearance."""
    raw = _readable(text)
    if raw is None:
        return []
    read = fold(visible(raw[: _WINDOW * 2])[:_WINDOW]).read
    return [Change(rule.name, rule.placeholder, start, end, rule.why) for start, end, rule in _find(read)]


def _readable(text: object) -> str | None:
    """Return the text of what is safe to read, by the methods of the base types, never by those of a subclass."""
    kind = type(text)
    if issubclass(kind, bytes):
        return bytes.__getitem__(cast("bytes", text), slice(_WINDOW * 4)).decode("utf-8", "replace")
    if issubclass(kind, BaseException):
        return _said(cast("BaseException", text))
    return _plain(text)


def _plain(value: object) -> str | None:
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if value is None or kind is bool:
        return repr(value)
    if issubclass(kind, float):
        return float.__repr__(cast("float", value))
    if issubclass(kind, int) and int.bit_length(cast("int", value)) < _WINDOW:
        return int.__repr__(cast("int", value))
    return None


def _said(error: BaseException) -> str:
    """Return what an exception says: its arguments where they are plain, never its own ``__str__``."""
    arguments: tuple[object, ...] = BaseException.__dict__["args"].__get__(error)
    parts = map(_plain, arguments[:_MOST_ARGUMENTS])
    return ", ".join(REDACTED if part is None else part[:_WINDOW] for part in parts)


def _scrubbed(raw: str, longest: int) -> str:
    text = visible(raw if len(raw) <= _WINDOW * 2 else raw[: _WINDOW * 2])
    whole = len(text) <= _WINDOW and len(raw) <= _WINDOW * 2
    text, again = _replaced(text[:_WINDOW], 0 if whole else _MARGIN)
    for _ in range(_MOST_PASSES):
        if len(text) > longest:
            text, again = _shortened(text, longest), True
        if not again:
            return text
        text, again = _replaced(text, 0)
    return REDACTED


def _replaced(text: str, margin: int) -> tuple[str, bool]:
    """Return ``text`` without its last ``margin`` characters, with placeholders, and whether it must be read once more.

    That is so where a word goes on behind a placeholder, or ends at it: what was its inside now stands at an edge.
    """
    shown, read = (text, text) if text.isascii() else fold(text)
    limit = len(read) - margin
    spans = _find(read)
    if margin:
        spans = [span for span in spans if span[0] < limit]
    if not spans:
        return text[: len(text) - margin], False
    pieces: list[str] = []
    behind = 0
    again = False
    for start, end, rule in spans:
        pieces += (shown[behind:start], rule.placeholder)
        behind = end
        again = again or shown[start - 1 : start].isalnum() or _GOES_ON.match(shown, end) is not None
    pieces.append(shown[behind:limit])
    return "".join(pieces), again


def _find(text: str) -> list[Span]:
    """Stand in for :func:`detectors.find` until the first text arrives: its tables and RE2 are too heavy for an import."""
    global _find  # noqa: PLW0603  replaces itself once
    from calos_telemetry.sdk.obfuscate.detectors import find  # noqa: PLC0415

    _find = find
    return find(text)


def _shortened(text: str, longest: int) -> str:
    """Cut at a space where there is one near, so that the last word is whole."""
    head = text[: max(0, longest - len(_CUT))]
    space = head.rfind(" ", max(0, len(head) - _LAST_WORD))
    return (head[:space] if space > 0 else head).rstrip() + _CUT[:longest]
