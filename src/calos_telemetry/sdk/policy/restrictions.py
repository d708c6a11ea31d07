"""What the operator's policy file takes away from an event; it can only remove.

A name that is withheld becomes ``(withheld)``, so that the totals stay right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec

from calos_telemetry.contract.events import (
    EVENT_TYPES,
    TYPE_NAMES,
    ApiRequest,
    ErrorEvent,
    Event,
    FeatureUsage,
    Performance,
)

WITHHELD: Final = "(withheld)"
ERROR_TEXTS: Final = frozenset({"message", "stack"})
_OF_SESSIONS: Final = frozenset({"user", "session"})


@dataclass(frozen=True, slots=True)
class Names:
    """Names as an operator writes them: whole ones, and beginnings (written with ``*`` behind them)."""

    whole: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Names:
        """Read the names of a list."""
        listed = sorted(set(patterns))
        return cls(
            frozenset(name for name in listed if not name.endswith("*")),
            tuple(name[:-1] for name in listed if name.endswith("*")),
        )

    def __contains__(self, name: str) -> bool:
        """Say whether ``name`` is one of them; ``(other)`` and its like name nothing."""
        return name in self.whole or (name.startswith(self.beginnings) and not name.startswith("("))

    def __iter__(self) -> Iterator[str]:
        """Yield them as they were written."""
        yield from sorted((*self.whole, *(f"{beginning}*" for beginning in self.beginnings)))


@dataclass(frozen=True)
class Restrictions:
    """What is taken away.

    ``categories`` are event types, ``fields`` names of their fields, ``routes`` templates, ``countries`` ISO 3166 codes.
    """

    categories: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    routes: Names = Names()
    features: Names = Names()
    countries: frozenset[str] = frozenset()

    def of_event(self, event: Event) -> Event | None:
        """Return the event without what is withheld; ``None`` where all of its category is."""
        kind = type(event)
        if TYPE_NAMES[kind] in self.categories:
            return None
        emptied = self._emptied[kind]
        changes = dict(emptied) if emptied else {}
        change = _CHANGES.get(kind)
        if change is not None:
            change(self, event, changes)
        return msgspec.structs.replace(event, **changes) if changes else event

    @cached_property
    def _emptied(self) -> dict[type[Event], dict[str, Any]]:
        """The fields of each kind of event that are withheld, with their values when empty."""
        gone = self.fields | (_OF_SESSIONS if "session" in self.categories else frozenset())
        gone |= {"feature"} if "feature_usage" in self.categories else frozenset()
        return {
            kind: {
                one.name: _empty(one) for one in msgspec.structs.fields(kind) if one.name in gone and not one.required
            }
            for kind in EVENT_TYPES.values()
        }


def _empty(one: msgspec.structs.FieldInfo) -> Any:
    return one.default if one.default_factory is msgspec.NODEFAULT else one.default_factory()


def _request(of: Restrictions, event: ApiRequest, changes: dict[str, Any]) -> None:
    if event.path in of.routes:
        changes.update(path=WITHHELD, inferred=False)
    if event.feature is not None and event.feature in of.features:
        changes.setdefault("feature", WITHHELD)
    if event.country in of.countries:
        changes["country"] = None


def _usage(of: Restrictions, event: FeatureUsage, changes: dict[str, Any]) -> None:
    if event.feature in of.features:
        changes.update(feature=WITHHELD, metadata={})


def _failure(of: Restrictions, event: ErrorEvent, changes: dict[str, Any]) -> None:
    """Without its route a failure has no text either: message and stack may name the route."""
    if event.path is not None and event.path in of.routes:
        changes.update(path=WITHHELD, inferred=False, message="", stack="", context={})


def _operation(of: Restrictions, event: Performance, changes: dict[str, Any]) -> None:
    if event.metric != "database_query" and event.name in of.features:
        changes["name"] = WITHHELD


_CHANGES: Final[Mapping[type[Event], Callable[[Restrictions, Any, dict[str, Any]], None]]] = {
    ApiRequest: _request,
    FeatureUsage: _usage,
    ErrorEvent: _failure,
    Performance: _operation,
}
