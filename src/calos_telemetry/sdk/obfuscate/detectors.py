"""All rules at work on one text: a single linear pass tells which rules can match, only those are tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, NamedTuple

import re2  # type: ignore[import-untyped]

from calos_telemetry.sdk.obfuscate.placeholders import MASK, PLACEHOLDER
from calos_telemetry.sdk.obfuscate.rules import BY_CONTEXT, RULES
from calos_telemetry.sdk.obfuscate.rules.rule import Check, Rule

_BY_CONTEXT: Final = frozenset(BY_CONTEXT)
_GATE_BYTES: Final = 64 << 20  # RE2 gives up, and says so, when a hostile text would need more states than this


_NOTHING_OPENED: Final = [len(RULES)]

Span = tuple[int, int, Rule]
"""A place in the text, start and end, and the rule that found it."""

_Place = tuple[int, int, int]  # start, the rule's rank, end: sorted, the first begins first, of these the first rule
_Search = Callable[[bytes, int, int], list[tuple[int, int]]]


class _Finder(NamedTuple):
    """One rule, compiled: ``rank`` is its place in the order of precedence."""

    rank: int
    search: _Search | None
    pattern: re.Pattern[str]
    check: Check | None
    by_context: bool


def find(text: str) -> list[Span]:
    """Return what the rules find in ``text``, disjoint and in order; placeholders already there are left out."""
    taken = list(PLACEHOLDER.finditer(text)) if "[" in text else []
    if taken:
        text = PLACEHOLDER.sub(_masked, text)
    data = text.encode()
    gate, finders = _compiled()
    candidates = gate.Match(data)
    if candidates == _NOTHING_OPENED:
        return []
    places: list[_Place] = []
    for index in candidates or range(len(finders)):
        if index < len(finders):
            places += _places(finders[index] or _finder(index), text, data)
    spans = _united(places) if places else []
    return _apart(spans, taken, text) if taken else spans


@cache
def _compiled() -> tuple[re2.Set, list[_Finder | None]]:
    """Compile the gate of all rules; the rules themselves are compiled when a text first needs them."""
    gate = re2.Set.SearchSet(_options())
    for rule in RULES:
        gate.Add(rule.gate)
    gate.Add("")  # always matches: where even this one is missing, the gate gave up and every rule is tried
    gate.Compile()
    return gate, [None] * len(RULES)


def _options() -> re2.Options:
    """Only where a gate begins is ever asked, and RE2 is much slower where it must also tell what each group held."""
    options = re2.Options()
    options.max_mem = _GATE_BYTES
    options.log_errors = False
    options.never_capture = True
    return options


def _finder(index: int) -> _Finder:
    rule = RULES[index]
    search = None if rule.scan else _searcher(rule.start or rule.gate)
    finder = _Finder(index, search, re.compile(rule.pattern, re.ASCII), rule.check, rule in _BY_CONTEXT)
    _compiled()[1][index] = finder
    return finder


def _searcher(gate: str) -> _Search:
    """Return what tells where a gate begins and ends between two bytes, (-1, -1) for nowhere.

    That is RE2's own method where this version of the package lets us have it: the package's Python around it takes as
    long as the search, and there are two searches for every rule that is tried.
    """
    compiled = re2.compile(gate, _options())
    try:
        search: _Search = partial(compiled._regexp.Match, re2._re2.RE2.Anchor.UNANCHORED)  # noqa: SLF001  see above
        search(b"", 0, 0)
    except (AttributeError, TypeError):
        return _public_searcher(compiled)
    return search


def _public_searcher(compiled: Any) -> _Search:
    def search(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
        place = compiled.search(data, start, end)
        return [(-1, -1) if place is None else place.span()]

    return search


def compile_all() -> None:
    """Compile the gate and every rule."""
    for index in range(len(_compiled()[1])):
        _finder(index)


def _places(finder: _Finder, text: str, data: bytes) -> list[_Place]:
    """Return what one rule finds: the group that must go is the last that took part, if its name has one letter."""
    rank, search, pattern, check, by_context = finder
    if search is None:
        matches = [match for match in pattern.finditer(text) if check is None or check(match)]
    else:
        matches = _anchored(search, pattern, check, text, data)
    if by_context and MASK in text:
        matches = [match for match in matches if not _beside_placeholder(match, text)]
    places = []
    for match in matches:
        name = match.lastgroup
        start, end = match.span(name) if name is not None and len(name) == 1 else match.span()
        places.append((start, rank, end))
    return places


def _beside_placeholder(match: re.Match[str], text: str) -> bool:
    """Say whether a match begins or ends at a placeholder, which counts as a word: nothing begins inside a word."""
    start, end = match.span()
    return MASK in text[max(0, start - 2) : start + 1] or MASK in text[end : end + 2]


def _anchored(
    search: _Search, pattern: re.Pattern[str], check: Check | None, text: str, data: bytes
) -> list[re.Match[str]]:
    """Try the pattern only where the gate begins; ``at`` counts bytes, as RE2 does, and ``position`` characters.

    What the check refuses hides nothing that begins inside it.
    """
    found = []
    size = len(data)
    wide = size != len(text)
    at = position = 0
    while at < size and (begin := search(data, at, size)[0][0]) >= 0:
        position = position + len(data[at:begin].decode()) if wide else begin
        match = pattern.match(text, position)
        end = position + 1
        if match is not None and (check is None or check(match)):
            found.append(match)
            end = max(end, match.end())
        at = begin + len(text[position:end].encode()) if wide else end
        position = end
    return found


def _united(places: list[_Place]) -> list[Span]:
    """Join what overlaps; the longest of the overlapping places gives the placeholder, of equals the first rule."""
    if len(places) > 1:
        places.sort()
    united: list[Span] = []
    start, named, end = places[0]
    longest = end - start
    for begin, rank, stop in places[1:]:
        if begin >= end:
            united.append((start, end, RULES[named]))
            start, named, end, longest = begin, rank, stop, stop - begin
            continue
        if stop - begin > longest:
            named, longest = rank, stop - begin
        end = max(end, stop)
    united.append((start, end, RULES[named]))
    return united


def _masked(placeholder: re.Match[str]) -> str:
    return f"[{MASK * (len(placeholder[0]) - 2)}]"


def _apart(spans: list[Span], taken: list[re.Match[str]], text: str) -> list[Span]:
    """Cut the placeholders of an earlier pass out of the places; what has no letter or digit left is nothing."""
    left = []
    for start, end, rule in spans:
        begin = start
        for placeholder in taken:
            if begin < placeholder.end() and placeholder.start() < end:
                left.append((begin, placeholder.start(), rule))
                begin = placeholder.end()
        left.append((begin, end, rule))
    return [span for span in left if any(map(str.isalnum, text[span[0] : span[1]]))]
