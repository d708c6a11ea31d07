"""Free text without the people in it: error messages, log lines, whatever a program says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

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
    raw = _readable(text)
    return REDACTED if raw is None else _scrubbed(raw, longest)


def explain_message(text: object) -> list[Change]:
    """Return what :func:`obfuscate_message` takes out of ``text`` in its first pass, and why, in order of appearance."""
    raw = _readable(text)
    if raw is None:
        return []
    read = fold(visible(raw[: _WINDOW * 2])).read[:_WINDOW]
    return [Change(span.rule.name, span.rule.placeholder, span.start, span.end, span.rule.why) for span in _find(read)]


def _readable(text: object) -> str | None:
    """Return the text of what is safe to read.  Subclasses are read through the base type's own methods, never through theirs."""
    if isinstance(text, str):
        return str.__str__(text)
    if isinstance(text, bytes | bytearray):
        return bytes(text[: _WINDOW * 4]).decode("utf-8", "replace")
    if text is None or isinstance(text, bool | float):
        return repr(text)
    if isinstance(text, int):
        return int.__repr__(text) if int.bit_length(text) < _WINDOW else None
    if isinstance(text, BaseException):
        return _said(text)
    return None


def _said(error: BaseException) -> str | None:
    """Return what an exception says: its arguments where they are plain, never its own ``__str__``."""
    parts = [_readable(part) for part in error.args[:8] if not isinstance(part, BaseException)]
    return ", ".join(REDACTED if part is None else part[:_WINDOW] for part in parts)


def _scrubbed(raw: str, longest: int) -> str:
    text = visible(raw[: _WINDOW * 2])
    whole = len(text) <= _WINDOW and len(raw) <= _WINDOW * 2
    limit = len(text) if whole else _WINDOW - _MARGIN
    text, again = _replaced(text[:_WINDOW], limit)
    for _ in range(_MOST_PASSES):
        if len(text) > longest:
            text, again = _shortened(text, longest), True
        if not again:
            return text
        text, again = _replaced(text, len(text))
    return REDACTED


def _replaced(text: str, limit: int) -> tuple[str, bool]:
    """Return the part of ``text`` before ``limit`` with placeholders, and whether it must be read once more.

    That is so where a placeholder touches a letter or digit: what was the inside of a word now stands at its edge.
    """
    shown, read = fold(text)
    spans = [span for span in _find(read) if span.start < limit]
    if not spans:
        return text[:limit], False
    pieces: list[str] = []
    end = 0
    for span in spans:
        pieces += (shown[end : span.start], span.rule.placeholder)
        end = span.end
    pieces.append(shown[end:limit])
    return "".join(pieces), any(_touches(shown, span.start, span.end) for span in spans)


def _touches(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()


def _find(text: str) -> list[Span]:
    """Stand in for :func:`detectors.find` until the first text arrives: its tables and RE2 are too heavy for an import."""
    global _find  # noqa: PLW0603  replaces itself once
    from calos_telemetry.sdk.obfuscate.detectors import find  # noqa: PLC0415

    _find = find
    return find(text)


def _shortened(text: str, longest: int) -> str:
    """Cut at a space where there is one near, so that the last word is whole."""
    head = text[: max(0, longest - len(_CUT))]
    space = head.rfind(" ", len(head) - 64)
    return (head[:space] if space > 0 else head).rstrip() + _CUT[:longest]
