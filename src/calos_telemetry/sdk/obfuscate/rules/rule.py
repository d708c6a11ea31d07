"""What a rule is: a name, the placeholder it writes, the reason in words, and two patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[re.Match[str]], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing that must not stay in a text.

    ``gate`` is read by RE2: first together with the gates of all rules in one linear pass, which tells whether the rule
    is tried at all, then alone, to find the places where ``pattern`` is tried.  So a gate begins where its pattern
    begins, and matches wherever the pattern can.  ``scan`` marks the exceptions, whose pattern is tried everywhere: where
    the gate only says that the text is of the right kind (an SQL statement), or where the pattern begins with a fixed
    text or a narrow class, which :mod:`re` finds sooner than RE2 is called.

    ``start`` is read in the gate's place the second time, where one expression cannot say both that the rule is worth
    trying and where its pattern begins.

    ``pattern`` is read by :mod:`re` with the ``ASCII`` flag and finds the exact place: the last group that took part
    where its name has one letter, else the whole match.  No two neighbouring repetitions in it can
    trade characters, or their counts are bounded, so that its time is linear.  ``check`` refuses what only looks alike.
    """

    name: str
    placeholder: str
    why: str
    gate: str
    pattern: str
    check: Check | None = None
    scan: bool = False
    start: str = ""


LETTER = r"\w\x80-\U0010ffff"
"""Inside a character class: a word character of any script (patterns are read with the ASCII flag)."""

WIDE = r"\w\x{80}-\x{10ffff}"
"""The same in the notation of RE2."""
