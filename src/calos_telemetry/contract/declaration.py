"""One metadata key: its kind, its closed values, and the ways in which keys and values are spelt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from calos_telemetry.contract import choices
from calos_telemetry.contract.fields import Sensitivity
from calos_telemetry.errors import SettingsError

MAX_VALUES = 200
MAX_VALUE = 64  # characters of one choice


class Kind(StrEnum):
    """What the values of a key are."""

    CHOICE = "choice"  # one of a closed list; a small number may stand for it
    FLAG = "flag"  # true or false
    COUNT = "count"  # how many
    MEASURE = "measure"  # a size, a version, an offset: a number that describes a thing
    DURATION = "duration_ms"  # elapsed time in the unit that the key names
    AMOUNT = "amount"  # money: never shown


class DeclarationError(SettingsError, ValueError):
    """A declaration cannot be used; the message names the file, the key and the remedy."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One metadata key: what it holds and why it is worth knowing."""

    name: str
    kind: Kind
    purpose: str
    values: frozenset[str] = frozenset()
    sensitivity: Sensitivity = Sensitivity.INTERACTION
    family: bool = False
    """Whether it also stands for longer keys that end with its name: ``status`` for ``payment_status``."""
    composed: bool = False
    """Whether values put together from the built-in words count as declared: ``card_declined``."""
    as_written: bool = False
    """Whether a value keeps the usual spelling it came in (``OK``, ``naturalPerson``) instead of the declared one."""
    expires: date | None = None
    """The day (UTC) from which on the key is not recorded any more, as if it had never been."""

    def canonical(self, text: str) -> str | None:
        """Return the value that `text` stands for, or None where it is not a declared one."""
        if len(text) > MAX_VALUE or not text.isascii():
            return None
        normal = normal_form(text)
        declared = _normal_forms(self.values).get(normal)
        if declared is not None:
            return text if self.as_written and _USUAL_SPELLING.fullmatch(text) else declared
        composed = self.composed and _COMPOSED_SPELLING.fullmatch(text) and _is_composed(normal)
        return text if composed else None


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+[a-z]*")
_USUAL_SPELLING: Final = re.compile(
    r"[a-z0-9._ -]+|[A-Z0-9._ -]+|[A-Z][a-z0-9]*(?:[_ -]?[A-Z]?[a-z0-9]+)*|[a-z]+(?:[A-Z][a-z0-9]+)*"
)
_COMPOSED_SPELLING: Final = re.compile(
    r"[a-z0-9]+(?:[_.:-][a-z0-9]+)*|[A-Z0-9]+(?:[_-][A-Z0-9]+)*|(?:[A-Z]?[a-z0-9]+|[A-Z]{2,})+"
)
_MOST_WORDS: Final = 4


_UNITS: Final = frozenset(
    [
        "us",
        "ms",
        "s",
        "sec",
        "seconds",
        "minutes",
        "hours",
        "days",
        "weeks",
        "months",
        "bytes",
        "kb",
        "mb",
        "gb",
        "percent",
        "cents",
        "millis",
    ]
)


def unit_of(name: str) -> str | None:
    """Return the unit that a name ends with: ``ms`` of ``duration_ms``; None where it names none."""
    last = words_of(name)[-1:]
    return {"us": "µs", "millis": "ms", "sec": "s"}.get(last[0], last[0]) if last and last[0] in _UNITS else None


def words_of(key: str) -> list[str]:
    """Split a key in any usual spelling into lower-case words: ``paymentMethod`` gives ``payment``, ``method``."""
    return [word.lower() for word in _WORD.findall(key)]


def normal_form(text: str) -> str:
    """Write a key or a value the one way that all usual spellings share: ``payment_method``."""
    return "_".join(words_of(text))


def _is_composed(normal: str) -> bool:
    """Say whether a value consists of at most four built-in words (plurals included)."""
    words = normal.split("_")
    return len(words) <= _MOST_WORDS and all(map(choices.is_software_word, words))


@lru_cache(maxsize=512)
def _normal_forms(values: frozenset[str]) -> Mapping[str, str]:
    """Map normal forms to declared values."""
    return {normal_form(value): value for value in sorted(values)}
