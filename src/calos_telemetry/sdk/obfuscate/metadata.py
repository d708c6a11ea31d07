"""Metadata of a feature: declared keys with closed values pass, everything else is replaced or dropped.

Only objects of exactly the built-in JSON types are read (``type(x) is dict``), so that no method of a foreign class ever
runs. Nested objects are flattened to dotted keys; what lies in a container whose name is not plain is kept under
``(other)``. The answer can always be written as JSON.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import islice
from math import isfinite
from typing import Final

from calos_telemetry.contract.choices import is_software_word
from calos_telemetry.contract.declarations import BUILTIN, Declaration, Declarations, Kind, words_of
from calos_telemetry.contract.fields import MAX_COUNT
from calos_telemetry.sdk.obfuscate.boundary import FAILURES
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED
from calos_telemetry.sdk.obfuscate.words import is_wordy

DROPPED: Final[Counter[str]] = Counter()
"""Keys that were left out, by reason: ``undeclared``, ``expired``, ``not_text``, ``too_many``, ``too_deep``; for health views."""

MOST_KEYS: Final = 400  # of the answer
MOST_VISITED: Final = 4_000  # objects looked at
MOST_IN_LIST: Final = 20
DEEPEST: Final = 8
_LONGEST_KEY: Final = 60
_MOST_WORDS: Final = 10
_OTHER: Final = "(other)"
_LARGEST_CODE: Final = 999  # numbers that stand for a choice: HTTP statuses, enumerations

_KEY: Final = re.compile(r"_{0,2}[A-Za-z][A-Za-z0-9_.:-]*")
_FLAG_WORDS: Final = """
is has have had can could should would will may must was were are be been being do does did allow allows allowed enable
enables enabled disable disabled use uses used using show hide include includes included exclude excludes excluded
require requires required support supports supported ignore ignored skip send auto only not no never always only
available valid invalid visible hidden active inactive ready done completed confirmed verified approved
"""
_FLAGS: Final = frozenset(_FLAG_WORDS.split())
_TRUTHS: Final = frozenset({"true", "false", "True", "False", "TRUE", "FALSE", "yes", "no", "on", "off"})
_AMOUNT_WORDS: Final = """
amount amounts amt price prices cost costs total totals subtotal balance balances fee fees tax taxes vat salary wage
wages revenue income budget discount sum cents money tip profit margin turnover spend spent net gross value values
"""
_AMOUNTS: Final = frozenset(_AMOUNT_WORDS.split())
_KNOWN: Final = _FLAGS | _AMOUNTS | {word for name in BUILTIN for word in name.split("_")}
_SHORT: Final = 2  # tz, id, v2: too short to name anybody
_COUNTERS: Final = frozenset({"count", "counts"})


def obfuscate_metadata(value: object, declarations: Declarations | None = None) -> dict[str, object]:
    """Return what may be kept of `value`, a dictionary of anything, as a flat dictionary of at most 400 keys.

    Without `declarations` the built-in ones hold. Numbers that may be money are ``[REDACTED]`` whatever is declared
    about their family; so is every value that its declaration does not list.
    """
    reader = _Reader(declarations or _BUILTIN)
    try:
        reader.read_container(value, "", None, DEEPEST)
    except Exception:  # noqa: BLE001  the boundary: a mapping may change under our hands, and nothing raw may leave
        FAILURES["obfuscate_metadata"] += 1
    return reader.kept


_BUILTIN: Final = Declarations()


class _Reader:
    """Walks one value of metadata and gathers what may be kept."""

    def __init__(self, declarations: Declarations) -> None:
        self.kept: dict[str, object] = {}
        self._declarations = declarations
        self._visits_left = MOST_VISITED

    def read_container(self, value: object, prefix: str, key: str | None, depth: int) -> None:
        """Read a dictionary's keys, or a list as several values of the key that holds it."""
        if type(value) is dict:
            for name, item in islice(value.items(), MOST_VISITED):
                self._read(name, item, prefix, depth)
        elif type(value) in (list, tuple):
            for item in islice(value, MOST_VISITED):  # type: ignore[call-overload]  # its type was just looked at
                self._read_item(item, prefix, key, depth)

    def _read(self, key: object, value: object, prefix: str, depth: int) -> None:
        self._visits_left -= 1
        if self._visits_left < 0 or depth <= 0:
            DROPPED["too_many" if depth else "too_deep"] += 1
        elif type(key) is not str:
            DROPPED["not_text"] += 1
        elif type(value) in _CONTAINERS:
            inside = f"{prefix}{_container_name(key)}." if type(value) is dict else prefix
            self.read_container(value, inside, key, depth - 1)
        else:
            self._keep(key, value, prefix)

    def _read_item(self, item: object, prefix: str, key: str | None, depth: int) -> None:
        """Read one entry of a list: a dictionary belongs to the list's key, a value is one of its values."""
        self._visits_left -= 1
        if self._visits_left < 0 or depth <= 0:
            DROPPED["too_many" if depth else "too_deep"] += 1
        elif type(item) is dict:
            self.read_container(item, f"{prefix}{_container_name(key)}.", key, depth - 1)
        elif type(item) in _CONTAINERS:
            self.read_container(item, prefix, key, depth - 1)
        elif key is not None:
            self._keep(key, item, prefix)

    def _keep(self, key: str, value: object, prefix: str) -> None:
        """Keep a value under its key if the key may be shown, and count the key as dropped if not."""
        declaration = self._declarations.find(key) if len(key) <= _LONGEST_KEY else None
        own = declaration is not None and not declaration.family and _KEY.fullmatch(key) is not None
        if declaration is not None and self._declarations.expired(declaration):
            DROPPED["expired"] += 1
        elif (declaration is None and not _may_be_flag(key, value)) or (
            not own and not _is_plain(key, _FLAGS if type(value) is bool else _COUNTERS)
        ):
            DROPPED["undeclared"] += 1
        else:
            self._put(prefix + key, _admitted(key, value, declaration))

    def _put(self, name: str, value: object) -> None:
        """Store a value; a key that comes again (in a list) gathers its different values."""
        if name not in self.kept:
            if len(self.kept) < MOST_KEYS:
                self.kept[name] = value
            else:
                DROPPED["too_many"] += 1
            return
        before = self.kept[name]
        values = before if type(before) is list else [before]
        if len(values) < MOST_IN_LIST and not any(
            one is value or (type(one) is type(value) and one == value) for one in values
        ):
            self.kept[name] = [*values, value]


_CONTAINERS: Final = (dict, list, tuple)


def _container_name(key: str | None) -> str:
    """Return the name under which the contents of a container are kept."""
    if key is None or _is_plain(key, ()):
        return _OTHER if key is None else key
    DROPPED["undeclared"] += 1
    return _OTHER


def _may_be_flag(key: str, value: object) -> bool:
    """Say whether an undeclared key holds a flag: true or false, also as 0, 1 or text under a name such as ``is_open``."""
    if type(value) is bool:
        return True
    return len(key) <= _LONGEST_KEY and not _FLAGS.isdisjoint(words_of(key)[:1]) and _is_flag(value)


def _is_flag(value: object) -> bool:
    if type(value) is int:
        return 0 <= value <= 1
    return type(value) is str and value in _TRUTHS


@lru_cache(maxsize=4096)
def _plain_words(key: str) -> tuple[int, int]:
    """Count the words of a key, and those of them that are not words of software."""
    words = words_of(key)
    unknown = [word for word in words if not _is_known(word)]
    return len(words), len(unknown) if all(map(str.isalpha, unknown)) else len(words)  # a number is never let through


def _is_plain(key: str, markers: frozenset[str] | tuple[()]) -> bool:
    """Say whether a key's own name may be shown: it consists of the words of software, so it names no person.

    Beside a marker (``is_``, ``_supported``) one unknown word is let through: only programmers write such keys.
    """
    if len(key) > _LONGEST_KEY or _KEY.fullmatch(key) is None:
        return False
    words, unknown = _plain_words(key)
    if unknown == 0:
        return 0 < words <= _MOST_WORDS
    return unknown == 1 and 1 < words <= _MOST_WORDS and not set(words_of(key)).isdisjoint(markers)


def _is_known(word: str) -> bool:
    return word in _KNOWN or len(word) <= _SHORT or is_software_word(word) or is_wordy(word)


def _admitted(key: str, value: object, declaration: Declaration | None) -> object:
    """Return the value if its declaration lists it, ``[REDACTED]`` if not; ``None`` says nothing and stays."""
    if value is None or type(value) is bool:
        return value
    if declaration is None or (declaration.kind is Kind.FLAG and _is_flag(value)):
        return value  # without a declaration it is a flag, as `_may_be_flag` has seen
    if type(value) is str:
        return (declaration.canonical(value) if declaration.kind is Kind.CHOICE else None) or REDACTED
    if type(value) is int or type(value) is float:
        return value if _is_admitted_number(key, value, declaration) else REDACTED
    return REDACTED


def _is_admitted_number(key: str, value: float, declaration: Declaration) -> bool:
    if declaration.kind is Kind.CHOICE:
        return declaration.composed and type(value) is int and abs(value) <= _LARGEST_CODE
    if declaration.kind is Kind.AMOUNT or (declaration.family and not _AMOUNTS.isdisjoint(words_of(key))):
        return False
    if declaration.kind is Kind.FLAG:
        return False
    return abs(value) <= MAX_COUNT if type(value) is int else isfinite(value)
