"""Names that the application gives: features, exception classes.  Only the catalogue's alphabet gets through."""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.contract.fields import MAX_NAME
from calos_telemetry.sdk.obfuscate.messages import obfuscate_message
from calos_telemetry.sdk.obfuscate.opaque import is_opaque

_FOREIGN: Final = re.compile(r"[^\w.:/-]+")
_PART: Final = re.compile(r"[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*")
_PIECE: Final = re.compile(r"[A-Za-z0-9]+")
_YEAR_OR_LESS: Final = re.compile(r"(?:19|20)?\d{1,2}|\d{3}")
_SHORTEST_MIXED: Final = 8
_UNNAMED: Final = "unnamed"
_ID: Final = "id"


def feature_name(name: object) -> str:
    """Return ``name`` with everything outside letters, digits and ``_.:/-`` replaced by ``_``, at most 120 characters.

    A name that holds a secret (an e-mail, a token) is scrubbed like any text before it is used, and the number of a
    record in it becomes ``id``: ``report_48213`` and ``report_48214`` are one feature.
    """
    if type(name) is not str:
        return _UNNAMED
    cleaned = _FOREIGN.sub("_", obfuscate_message(name)).strip("_")
    return _PART.sub(_without_records, cleaned[:MAX_NAME]) or _UNNAMED


def _without_records(part: re.Match[str]) -> str:
    return _PIECE.sub(_without_record, part[0]) if is_opaque(part[0]) else part[0]


def _without_record(piece: re.Match[str]) -> str:
    """Spare what numbers a version, a quarter or a year."""
    text = piece[0]
    if text.isdigit():
        return text if _YEAR_OR_LESS.fullmatch(text) else _ID
    return _ID if len(text) >= _SHORTEST_MIXED and is_opaque(text) else text
