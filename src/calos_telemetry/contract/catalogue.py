"""The catalogue: the closed list of everything that can be stored or sent, read from the types themselves.

Every entry comes from the declaration that stands next to a field's type (``contract.fields.declared``) or from the list
of counters, so what is documented, what is validated and what travels can never differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from calos_telemetry.contract.counters import COUNTERS
from calos_telemetry.contract.events import EVENT_TYPES
from calos_telemetry.contract.fields import Sensitivity
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow

FOR_EVER = "for ever"
DAYS_90 = "90 days"

_KEPT: dict[type[msgspec.Struct], tuple[str, str, bool]] = {
    **{kind: (name, DAYS_90, False) for name, kind in EVENT_TYPES.items()},
    FeatureRow: ("telemetry_features", FOR_EVER, True),
    ErrorRow: ("telemetry_errors", FOR_EVER, True),
    PerformanceRow: ("telemetry_performance", DAYS_90, True),
    AggregateRow: ("telemetry_aggregates", FOR_EVER, True),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can be stored or sent.  ``leaves`` says whether it can leave the install."""

    group: str
    name: str
    type: str
    what: str
    why: str
    sensitivity: Sensitivity
    required: bool
    kept: str
    leaves: bool


@cache
def catalogue() -> tuple[Entry, ...]:
    """Return every entry: events first, then the rows that leave, then the counters.

    Raises ``TypeError`` when a field is not declared; a test calls this, so such a field never reaches a release.
    """
    return (*_of_structs(), *_of_counters())


def _of_structs() -> Iterator[Entry]:
    for kind, (group, kept, leaves) in _KEPT.items():
        described = inspect.type_info(kind)
        if not isinstance(described, inspect.StructType):
            raise TypeError(f"{kind.__name__} is not a struct")
        for field in described.fields:
            yield _entry(group, field.name, field.type, kept, leaves=leaves)


def _entry(group: str, name: str, type_: inspect.Type, kept: str, *, leaves: bool) -> Entry:
    told = _declaration(type_)
    if told is None:
        raise TypeError(f"{group}.{name} is not declared: annotate its type with contract.fields.declared(...)")
    schema, extra = told
    return Entry(
        group=group,
        name=name,
        type=_type_name(type_),
        what=schema["description"],
        why=extra["why"],
        sensitivity=Sensitivity(extra["sensitivity"]),
        required=extra["required"],
        kept=kept,
        leaves=leaves,
    )


def _declaration(type_: inspect.Type) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if isinstance(type_, inspect.Metadata):
        if type_.extra is not None and "why" in type_.extra:
            return type_.extra_json_schema or {}, type_.extra
        return _declaration(type_.type)
    if isinstance(type_, inspect.UnionType):
        return next((told for told in map(_declaration, type_.types) if told is not None), None)
    return None


def _type_name(type_: inspect.Type) -> str:
    if isinstance(type_, inspect.Metadata):
        return _type_name(type_.type)
    if isinstance(type_, inspect.UnionType):
        names = [_type_name(each) for each in type_.types if not isinstance(each, inspect.NoneType)]
        return " or ".join(names) + " or nothing"
    scalars: dict[type[inspect.Type], str] = {
        inspect.StrType: "text",
        inspect.IntType: "integer",
        inspect.BoolType: "true or false",
    }
    return scalars.get(type(type_), "map")


def _of_counters() -> Iterator[Entry]:
    for counter in COUNTERS:
        yield Entry(
            group="counter",
            name=counter.name,
            type="integer",
            what=f"{counter.what}; key: {counter.key}",
            why=counter.why,
            sensitivity=counter.sensitivity,
            required=counter.required,
            kept=FOR_EVER,
            leaves=True,
        )
