"""How a text is read before it is searched: invisible characters go, look-alikes become what they look like.

``shown`` is what the output is cut from, ``read`` is what the patterns see; both have the same length, so a place found
in one is the same place in the other.
"""

# ruff: noqa: RUF001  the look-alikes are the content of this file

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

_INVISIBLE: Final = re.compile(
    "\x1b\\[[0-9;]*[A-Za-z]"  # terminal colours
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]",
)

_SEEN: Final = b"\t\n" + bytes(range(0x20, 0x7F))

_LATIN: Final = (  # Cyrillic and Greek letters drawn like Latin ones (Unicode TR 39 names them confusable)
    ("АВЕЅІЈКМНОРСТХУаеѕіјорсхуһԁԛԝ", "ABESIJKMHOPCTXYaesijopcxyhdqw"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧορνικαι", "ABEZHIKMNOPTYXopvikai"),
)
_DASHES: Final = "‐‑‒–—―−"
_QUOTES: Final = (("‘’‚‛", "'"), ("“”„‟«»", '"'))
_ZEROS: Final = (  # the digit zero of the scripts in everyday use; nine more digits follow each
    *(0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66),
    *(0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x17E0, 0x1810),
)


class Folded(NamedTuple):
    """One text twice, at the same length: as it may be shown, and as the patterns read it."""

    shown: str
    read: str


def _look_alikes() -> dict[int, str]:
    table = {ord(dash): "-" for dash in _DASHES}
    table |= {ord(mark): plain for marks, plain in _QUOTES for mark in marks}
    table |= {zero + digit: str(digit) for zero in _ZEROS for digit in range(10)}
    for foreign, latin in _LATIN:
        table |= dict(zip(map(ord, foreign), latin, strict=True))
    return table


_LOOK_ALIKES: Final = _look_alikes()
_LOOK_ALIKE: Final = re.compile(f"[{''.join(map(chr, _LOOK_ALIKES))}]")


def visible(text: str) -> str:
    """Return ``text`` without the characters nobody sees: controls, zero-width marks, lone surrogates."""
    if text.isascii() and not text.encode().translate(None, _SEEN):
        return text
    return _INVISIBLE.sub("", text)


def fold(text: str) -> Folded:
    """Return ``text``, which is :func:`visible`, in Unicode's compatibility form (NFKC), and with look-alikes made Latin."""
    if text.isascii():
        return Folded(text, text)
    shown = text if unicodedata.is_normalized("NFKC", text) else visible(unicodedata.normalize("NFKC", text))
    return Folded(shown, shown.translate(_LOOK_ALIKES) if _LOOK_ALIKE.search(shown) else shown)
