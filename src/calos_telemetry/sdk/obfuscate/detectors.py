"""All rules at work on one text: a single linear pass tells which rules can match, only those are tried."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, NamedTuple

import re2  # type: ignore[import-untyped]

from calos_telemetry.sdk.obfuscate import accounts, contacts, credentials, literals, payments, vendors
from calos_telemetry.sdk.obfuscate.placeholders import MASK, PLACEHOLDER
from calos_telemetry.sdk.obfuscate.rules import Rule

RULES: Final[tuple[Rule, ...]] = (
    *payments.RULES,
    *contacts.RULES,
    *vendors.RULES,
    *credentials.RULES,
    *accounts.RULES,
    *literals.RULES,
)
"""In order of precedence: of two rules that find the same place, the earlier one names it."""

_BY_CONTEXT: Final = frozenset((*accounts.RULES, *literals.RULES))
_GATE_BYTES: Final = 64 << 20  # RE2 gives up, and says so, when a hostile text would need more states than this


class Span(NamedTuple):
    """A place in the text, and the rule that found it."""

    start: int
    end: int
    rule: Rule


class _Finder(NamedTuple):
    """One rule, compiled."""

    rule: Rule
    anchor: Any
    pattern: re.Pattern[str]
    by_context: bool


def find(text: str) -> list[Span]:
    """Return what the rules find in ``text``, disjoint and in order; placeholders already there are left out."""
    taken = list(PLACEHOLDER.finditer(text)) if "[" in text else []
    if taken:
        text = PLACEHOLDER.sub(_masked, text)
    data = text.encode()
    gate, finders = _compiled()
    candidates = gate.Match(data)
    if candidates == [len(finders)]:
        return []
    spans: list[Span] = []
    for index in sorted(candidates)[:-1] if candidates else range(len(finders)):
        finder = finders[index] or _finder(index)
        spans += _spans(finder, text, data)
    return _apart(_united(spans), taken, text) if spans else spans


@cache
def _compiled() -> tuple[re2.Set, list[_Finder | None]]:
    """Compile the gate of all rules; the rules themselves are compiled when a text first needs them."""
    options = re2.Options()
    options.max_mem = _GATE_BYTES
    options.log_errors = False
    gate = re2.Set.SearchSet(options)
    for rule in RULES:
        gate.Add(rule.gate)
    gate.Add("")  # always matches: where even this one is missing, the gate gave up and every rule is tried
    gate.Compile()
    return gate, [None] * len(RULES)


def _finder(index: int) -> _Finder:
    rule = RULES[index]
    pattern = re.compile(rule.pattern, re.ASCII)
    finder = _Finder(rule, None if rule.scan else re2.compile(rule.gate), pattern, rule in _BY_CONTEXT)
    _compiled()[1][index] = finder
    return finder


def compile_all() -> None:
    """Compile the gate and every rule."""
    for index in range(len(_compiled()[1])):
        _finder(index)


def _spans(finder: _Finder, text: str, data: bytes) -> list[Span]:
    rule, anchor, pattern, by_context = finder
    everywhere = anchor is None or len(data) != len(text)
    matches: Iterable[re.Match[str]] = pattern.finditer(text) if everywhere else _anchored(anchor, pattern, text, data)
    check = rule.check
    if by_context and MASK in text:
        matches = [match for match in matches if not _beside_placeholder(match, text)]
    return [_span(match, rule) for match in matches if check is None or check(match)]


def _beside_placeholder(match: re.Match[str], text: str) -> bool:
    """Say whether a match begins or ends at a placeholder, which counts as a word: nothing begins inside a word."""
    start, end = match.span()
    return MASK in text[max(0, start - 2) : start + 1] or MASK in text[end : end + 2]


def _anchored(anchor: Any, pattern: re.Pattern[str], text: str, data: bytes) -> list[re.Match[str]]:
    """Try the pattern only where the gate begins.  Only for ASCII, where a byte and a character are the same place."""
    found = []
    place = anchor.search(data)
    while place is not None:
        position = place.start()
        match = pattern.match(text, position)
        position += 1
        if match is not None:
            found.append(match)
            position = max(position, match.end())
        place = anchor.search(data, position)
    return found


def _span(match: re.Match[str], rule: Rule) -> Span:
    """Take the group that holds what must go: the last one that took part, if its name has one letter; else all of it."""
    name = match.lastgroup
    start, end = match.span(name) if name is not None and len(name) == 1 else match.span()
    return Span(start, end, rule)


def _united(spans: list[Span]) -> list[Span]:
    """Join what overlaps; the longest of the overlapping places gives the placeholder, of equals the first rule."""
    if len(spans) == 1:
        return spans
    spans.sort(key=_start)  # stable: the order of the rules stays
    united = [spans[0]]
    longest = spans[0].end - spans[0].start
    for span in spans[1:]:
        last, length = united[-1], span.end - span.start
        if span.start >= last.end:
            united.append(span)
            longest = length
            continue
        united[-1] = Span(last.start, max(last.end, span.end), span.rule if length > longest else last.rule)
        longest = max(longest, length)
    return united


def _start(span: Span) -> int:
    return span.start


def _masked(placeholder: re.Match[str]) -> str:
    return f"[{MASK * (len(placeholder[0]) - 2)}]"


def _apart(spans: list[Span], taken: list[re.Match[str]], text: str) -> list[Span]:
    """Cut the placeholders of an earlier pass out of the places; what has no letter or digit left is nothing."""
    left = []
    for span in spans:
        start, end, rule = span
        for placeholder in taken:
            if start < placeholder.end() and placeholder.start() < end:
                left.append(Span(start, placeholder.start(), rule))
                start = placeholder.end()
        left.append(Span(start, end, rule))
    return [span for span in left if any(map(str.isalnum, text[span.start : span.end]))] if taken else left
