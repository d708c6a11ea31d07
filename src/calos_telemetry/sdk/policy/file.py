"""The operator's policy file, read and checked.  Every key takes something away; there is none that adds.

``review_hours`` is how long a sealed report waits to be read.  The table ``[drop]`` names ``fields`` (optional ones of the
catalogue), ``routes`` (templates, whole or with ``*`` at the end), ``features`` (likewise), ``countries``, with
``error_texts = true`` messages and stacks, and in ``categories`` whole event types, where the tier leaves that to the operator.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from calos_telemetry.contract.events import EVENT_TYPES
from calos_telemetry.contract.fields import optional_fields
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.policy.restrictions import ERROR_TEXTS, Names, Restrictions
from calos_telemetry.settings import MAX_REVIEW_HOURS

CATEGORIES: Final = frozenset(EVENT_TYPES)
OPTIONAL_FIELDS: Final = frozenset().union(*map(optional_fields, EVENT_TYPES.values()))
_LARGEST_FILE: Final = 1 << 20
_KEYS: Final = ("review_hours", "drop")
_DROPS: Final = ("categories", "fields", "routes", "features", "countries", "error_texts")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_ROUTE: Final = re.compile(r"/.*|\*")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What a policy file says."""

    restrictions: Restrictions
    review_hours: float = 0.0


STRICTEST: Final = PolicyFile(
    Restrictions(categories=CATEGORIES, fields=OPTIONAL_FIELDS, routes=Names.of("*"), features=Names.of("*")),
    review_hours=MAX_REVIEW_HOURS,
)
"""How a file counts that cannot be used: as one that takes away all that a file can, and lets reports wait the longest."""


def read_policy_file(file: Path) -> PolicyFile:
    """Return what ``file`` takes away.  Raises :class:`SettingsError`, one sentence that says what to change in it."""
    try:
        return _policy(_content(file))
    except _Wrong as wrong:
        raise SettingsError(f"{file}: {wrong}") from None


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    """What is wrong with the file, in words."""


def _content(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            read = opened.read(_LARGEST_FILE + 1)
        if len(read) > _LARGEST_FILE:
            raise _Wrong("it has more than 1 MiB: make it smaller")
        return tomllib.loads(read.decode())
    except OSError as error:
        raise _Wrong(f"it cannot be read ({error.strerror}): correct CALOS_POLICY or its permissions") from None
    except UnicodeDecodeError:
        raise _Wrong("it is not UTF-8: save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _Wrong(f"it is not TOML: {error}") from None


def _policy(content: Mapping[str, Any]) -> PolicyFile:
    _check_known("key", content, _KEYS)
    drop = content.get("drop", {})
    if not isinstance(drop, dict):
        raise _Wrong("drop must be a table: write [drop]")
    _check_known("key of [drop]", drop, _DROPS)
    given = {name: _names(name, drop.get(name, [])) for name in _DROPS if name != "error_texts"}
    _check_known("category", given["categories"], CATEGORIES)
    _check_known("optional field", given["fields"], OPTIONAL_FIELDS)
    _check_form(given["countries"], _COUNTRY, "a country's two capital letters, such as CH")
    _check_form(given["routes"], _ROUTE, "a template that begins with /, such as /users/:id or /internal/*")
    texts = drop.get("error_texts", False)
    if not isinstance(texts, bool):
        raise _Wrong(f"error_texts is {texts!r}: give true or false")
    return PolicyFile(
        Restrictions(
            categories=frozenset(given["categories"]),
            fields=frozenset(given["fields"]) | (ERROR_TEXTS if texts else frozenset()),
            routes=Names.of(given["routes"]),
            features=Names.of(given["features"]),
            countries=frozenset(given["countries"]),
        ),
        _hours(content.get("review_hours", 0)),
    )


def _hours(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_REVIEW_HOURS:
        raise _Wrong(f"review_hours is {value!r}: give 0 to {MAX_REVIEW_HOURS} hours")
    return float(value)


def _names(key: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise _Wrong(f'{key} must be a list of texts, such as ["a", "b"]')
    return value


def _check_known(what: str, given: Collection[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise _Wrong(f"{name!r} is no {what}: {hint}")


def _check_form(given: Collection[str], form: re.Pattern[str], wanted: str) -> None:
    for name in given:
        if form.fullmatch(name) is None:
            raise _Wrong(f"{name!r} is not {wanted}")
