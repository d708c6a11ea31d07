"""A statement of SQL to its operation and its table, and nothing else of it: ``SELECT orders``.

Texts in the statement are taken out before anybody looks for a table; where it is not certain what is text (backslashes,
dollar quotes, an odd number of quotes), no table is named.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from calos_telemetry.sdk.obfuscate.paths import obfuscate_path

OTHER: Final = "OTHER"
_LONGEST: Final = 20_000  # characters looked at
_NOISE: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"", re.DOTALL)
_DOUBTFUL: Final = re.compile(r"\\|\$\w*\$|/\*!")
_OPERATION: Final = re.compile(r"\s*\(*\s*([A-Za-z]+)")
_VERB: Final = re.compile(r"\)\s*(SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_NAME: Final = r"((?:[\w$]+|\"[^\"]+\"|`[^`]+`|\[[^\]]+\])(?:\s*\.\s*(?:[\w$]+|\"[^\"]+\"|`[^`]+`|\[[^\]]+\]))*)"
_TABLE: Final = {
    "SELECT": re.compile(r"\bFROM\s+(?:ONLY\s+)?" + _NAME + r"(?!\s*\()", re.IGNORECASE),
    "INSERT": re.compile(r"\bINTO\s+(?:TABLE\s+)?" + _NAME, re.IGNORECASE),
    "UPDATE": re.compile(r"\bUPDATE\s+(?:OR\s+\w+\s+|ONLY\s+)?" + _NAME, re.IGNORECASE),
    "DELETE": re.compile(r"\bFROM\s+(?:ONLY\s+)?" + _NAME, re.IGNORECASE),
}
_SAME: Final = {"REPLACE": "INSERT"}


@lru_cache(maxsize=4_096)
def series_of(statement: object) -> str:
    """Return operation and table of a statement; ``OTHER`` for what is none of the four operations."""
    if type(statement) is not str:
        return OTHER
    text = _NOISE.sub(_quiet, statement[:_LONGEST])
    operation = _operation_of(text)
    pattern = _TABLE.get(operation)
    if pattern is None:
        return OTHER
    found = None if _is_doubtful(statement[:_LONGEST]) else pattern.search(text)
    return f"{operation} {_shown(found.group(1))}" if found else operation


def _quiet(noise: re.Match[str]) -> str:
    """Return what stands for a comment, a text, or a quoted name (which is a text in MySQL: no name has a space)."""
    found = noise.group()
    if found.startswith('"') and not any(map(str.isspace, found)):
        return found
    return " ' " if found[0] in "'\"" else " "


def _operation_of(text: str) -> str:
    first = _OPERATION.match(text)
    operation = first.group(1).upper() if first else OTHER
    if operation == "WITH":
        verb = _VERB.search(text)
        operation = verb.group(1).upper() if verb else OTHER
    return _SAME.get(operation, operation)


def _is_doubtful(statement: str) -> bool:
    return _DOUBTFUL.search(statement) is not None or statement.count("'") % 2 == 1


def _shown(name: str) -> str:
    """Return a table's own name, without schema and database; one that carries an identifier is ``:id``."""
    own = re.split(r"\s*\.\s*", name)[-1].strip('"`[]').lower()
    return obfuscate_path("/" + own)[1:] or ":id"
