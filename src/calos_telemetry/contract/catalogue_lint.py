"""The linter of the catalogue: what a reviewer would object to before a field is recorded anywhere.

It knows entries only, so a host application's declarations are held to the same rules as our own fields.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Final, NamedTuple

from calos_telemetry.contract.catalogue import COUNTER, FEATURE, METADATA, Entry, columns_of
from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.declaration import normal_form, unit_of
from calos_telemetry.contract.fields import Sensitivity
from calos_telemetry.contract.usual_keys import BUILTIN

_SHORTEST_PURPOSE: Final = 5  # characters: "TODO", "x" and "-" are none
_SHORTEST_SIMILAR: Final = 8  # characters: shorter names differ by a letter because they mean something else
_NO_PURPOSE: Final = frozenset({"declared by the application", "to be done", "unknown"})
_PERSONAL: Final = frozenset({"user", "session", "hash", "device", "visitor"})
_FIGURES: Final = re.compile(r"\d+")
_UNITS_IN_WORDS: Final = {"s": "seconds", "sec": "seconds", "%": "percent"}


class Finding(NamedTuple):
    """One objection: which rule, to which entry, and what to do."""

    rule: str
    entry: str
    advice: str


def lint(entries: Iterable[Entry], today: date) -> list[Finding]:
    """Return every objection to ``entries``; none means that they may be released on ``today``."""
    listed = list(entries)
    found = [Finding(rule, _named(entry), advice) for entry in listed for rule, advice in _of_entry(entry, today)]
    return found + list(_near_duplicates(listed))


def undeclared(columns: Mapping[str, Iterable[str]], counters: Iterable[str]) -> list[Finding]:
    """Return the columns (of tables by name) and the counters that are in use and not in the catalogue."""
    found = []
    for table, names in columns.items():
        unknown = sorted(set(names) - columns_of(table))
        found += [
            Finding("undeclared column", f"{table}.{name}", "declare it in contract/stored.py") for name in unknown
        ]
    for name in sorted(set(counters) - COUNTER_NAMES):
        found.append(Finding("undeclared counter", name, "declare it in contract/counters.py"))
    return found


def _of_entry(entry: Entry, today: date) -> Iterator[tuple[str, str]]:
    for rule, objection in _RULES.items():
        advice = objection(entry, today)
        if advice is not None:
            yield rule, advice


def _purpose(entry: Entry, _today: date) -> str | None:
    why = entry.why.strip()
    if len(why) < _SHORTEST_PURPOSE or why.lower() in _NO_PURPOSE or why == entry.what:
        return "say why it is worth recording, in a few words"
    return None


def _meaning(entry: Entry, _today: date) -> str | None:
    return None if entry.what.strip() else "say what it is"


def _sensitivity(entry: Entry, _today: date) -> str | None:
    if entry.sensitivity not in set(Sensitivity):
        return f"give one of {', '.join(Sensitivity)}"
    words = set(normal_form(entry.name).split("_"))
    if entry.sensitivity is Sensitivity.TECHNICAL and entry.type.startswith("text") and words & _PERSONAL:
        return "its name speaks of a person: declare it pseudonymous, or rename it"
    return None


def _unit(entry: Entry, _today: date) -> str | None:
    """Allow a unit in a name only to a number whose description names the same unit: so nobody has to guess."""
    unit = unit_of(entry.name)
    if unit is None or normal_form(entry.name) == entry.name == unit or entry.type.startswith("record"):
        return None
    if not entry.type.startswith(("integer", "number")):
        return f"it is no number: take {unit} out of its name"
    spelt = {unit, _UNITS_IN_WORDS.get(unit, unit)}
    return None if spelt & set(entry.what.replace(",", " ").replace(";", " ").split()) else f"say that it is in {unit}"


def _expiry(entry: Entry, today: date) -> str | None:
    if entry.expires is None:
        return None
    if entry.required:
        return "what is required cannot expire: make it optional"
    return f"it expired on {entry.expires}: remove it, or declare a later day" if entry.expires <= today else None


_RULES: Final[dict[str, Callable[[Entry, date], str | None]]] = {
    "purpose missing": _purpose,
    "description missing": _meaning,
    "sensitivity missing": _sensitivity,
    "unit in the name": _unit,
    "expired": _expiry,
}


def _near_duplicates(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Compare the names of each group with each other; the built-in keys of metadata list synonyms on purpose."""
    groups: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        builtin = entry.group == METADATA and entry.name in BUILTIN
        known = groups[entry.group]
        like = None if builtin else next((name for name in known if _alike(name, entry.name)), None)
        if like is not None:
            yield Finding("near-duplicate names", _named(entry), f"{like} exists: use it, or find a name of its own")
        known[entry.name] = entry


def _alike(one: str, other: str) -> bool:
    """Say whether two names are the same word in another spelling, order or number, or differ by one letter.

    Names that differ in their figures alone (of 1, 7 and 30 days) are a series.
    """
    if one == other or _FIGURES.sub("", one) == _FIGURES.sub("", other):
        return False
    if _skeleton(one) == _skeleton(other):
        return True
    return min(len(one), len(other)) >= _SHORTEST_SIMILAR and _one_letter_apart(one, other)


def _skeleton(name: str) -> list[str]:
    return sorted(word.removesuffix("s") for word in normal_form(name).split("_"))


def _one_letter_apart(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((at for at, letter in enumerate(short) if letter != long[at]), len(short))
    return short[at:] == long[at + 1 :] or short[at + 1 :] == long[at + 1 :]


def _named(entry: Entry) -> str:
    return entry.name if entry.group in (COUNTER, FEATURE) else f"{entry.group}.{entry.name}"
