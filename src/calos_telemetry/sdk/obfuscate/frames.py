"""One frame of a stack, in the words every language shares, and the choice of the few that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

MOST_FRAMES: Final = 4
"""Frames shown under the exception line: five lines in all."""

_SAFE: Final = re.compile(r"[^\w.$<>*()\[\]/@!?:+~-]+", re.ASCII)
_LONGEST_NAME: Final = 120


class Frame(NamedTuple):
    """A place in a program.  ``library`` says that the application's own authors did not write it."""

    module: str
    function: str
    line: int
    library: bool

    def __str__(self) -> str:
        return f"{_safe(self.module)}:{_safe(self.function)}:{self.line}"


def chosen(frames: Iterable[Frame]) -> list[Frame]:
    """Return at most four of ``frames`` (innermost first): the application's first, then the nearest libraries'.

    A place that repeats, as in a recursion, counts once.
    """
    distinct = list(dict.fromkeys(frames))
    own = [place for place, frame in enumerate(distinct) if not frame.library][:MOST_FRAMES]
    others = [place for place, frame in enumerate(distinct) if frame.library][: MOST_FRAMES - len(own)]
    return [distinct[place] for place in sorted(own + others)]


def _safe(name: str) -> str:
    return _SAFE.sub("?", name[:_LONGEST_NAME]) or "?"
