"""The catalogue: the closed list of everything that can be stored or sent, read from the types themselves.

Every entry comes from the declaration that stands next to a field's type (``contract.fields.declared``), from the list of
counters, or from the declarations of metadata, so what is documented, what is validated and what travels cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

import msgspec
from msgspec import inspect

from calos_telemetry.contract import stored
from calos_telemetry.contract.counters import COUNTERS
from calos_telemetry.contract.declaration import Declaration, Kind, unit_of
from calos_telemetry.contract.declarations import Declarations
from calos_telemetry.contract.events import EVENT_TYPES
from calos_telemetry.contract.fields import Sensitivity, declaration_of
from calos_telemetry.contract.report import Books, LicensePart, Product, Report, VerifyRequest
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow

FOR_EVER: Final = "for ever"
DAYS_90: Final = "90 days"
DAYS_7: Final = "7 days"
METADATA: Final = "metadata"
FEATURE: Final = "feature"
COUNTER: Final = "counter"
_MOST_VALUES_LISTED: Final = 40


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
    expires: date | None = None
    """The day from which on it is not recorded any more."""


class _Place(NamedTuple):
    """Where the fields of a type are kept, how long, and whether they can leave."""

    kind: type[msgspec.Struct]
    group: str
    kept: str
    leaves: bool


_PLACES: Final = (
    *(_Place(kind, name, DAYS_90, leaves=False) for name, kind in EVENT_TYPES.items()),
    _Place(FeatureRow, "telemetry_features", FOR_EVER, leaves=True),
    _Place(ErrorRow, "telemetry_errors", FOR_EVER, leaves=True),
    _Place(PerformanceRow, "telemetry_performance", DAYS_90, leaves=True),
    _Place(AggregateRow, "telemetry_aggregates", FOR_EVER, leaves=True),
    _Place(VerifyRequest, "request", FOR_EVER, leaves=True),
    _Place(LicensePart, "request.license", FOR_EVER, leaves=True),
    _Place(Product, "request.license.product", FOR_EVER, leaves=True),
    _Place(Report, "request.telemetry", FOR_EVER, leaves=True),
    _Place(Books, "request.telemetry.books", FOR_EVER, leaves=True),
    *(_Place(kind, table, kept, leaves=False) for table, kind, kept in stored.TABLES),
)


def catalogue(declarations: Declarations | None = None) -> tuple[Entry, ...]:
    """Return every entry: events, rows, the report around them, what stays, counters, features, metadata.

    ``declarations`` are the host application's; without them the built-in ones are listed.  Raises ``TypeError`` when a
    field is not declared; a test calls this, so such a field never reaches a release.
    """
    known = declarations or Declarations()
    return (*_of_structs(), *_of_counters(), *_of_features(known.features), *_of_metadata(known.metadata))


def columns_of(table: str) -> frozenset[str]:
    """Return the names that are declared for the columns of a table."""
    return frozenset(entry.name for entry in _of_structs() if entry.group == table)


def _of_structs() -> Iterator[Entry]:
    for place in _PLACES:
        described = inspect.type_info(place.kind)
        if not isinstance(described, inspect.StructType):
            raise TypeError(f"{place.kind.__name__} is not a struct")
        for field in described.fields:
            yield _entry(place, field.name, field.type)


def _entry(place: _Place, name: str, type_: inspect.Type) -> Entry:
    told = declaration_of(type_)
    if told is None:
        raise TypeError(f"{place.group}.{name} is not declared: annotate its type with contract.fields.declared(...)")
    schema, extra = told
    return Entry(
        group=place.group,
        name=name,
        type=_type_name(type_),
        what=schema["description"],
        why=extra["why"],
        sensitivity=Sensitivity(extra["sensitivity"]),
        required=extra["required"],
        kept=place.kept,
        leaves=place.leaves,
        expires=extra["expires"],
    )


_TYPE_NAMES: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.BoolType: "true or false",
    inspect.BytesType: "bytes",
    inspect.ListType: "list",
    inspect.StructType: "record",
}


def _type_name(type_: inspect.Type) -> str:
    if isinstance(type_, inspect.Metadata):
        return _type_name(type_.type)
    if isinstance(type_, inspect.UnionType):
        names = [_type_name(each) for each in type_.types if not isinstance(each, inspect.NoneType)]
        return " or ".join(names) + " or nothing"
    return _TYPE_NAMES.get(type(type_), "map")


def _of_counters() -> Iterator[Entry]:
    for counter in COUNTERS:
        yield Entry(
            group=COUNTER,
            name=counter.name,
            type="integer",
            what=f"{counter.what}; key: {counter.key}",
            why=counter.why,
            sensitivity=counter.sensitivity,
            required=counter.required,
            kept=FOR_EVER,
            leaves=True,
        )


def _of_features(features: Mapping[str, str]) -> Iterator[Entry]:
    for name, purpose in features.items():
        yield Entry(
            group=FEATURE,
            name=name,
            type="text",
            what="a feature that the application declares",
            why=purpose,
            sensitivity=Sensitivity.INTERACTION,
            required=True,
            kept=FOR_EVER,
            leaves=True,
        )


def _of_metadata(metadata: Mapping[str, Declaration]) -> Iterator[Entry]:
    """List the keys of metadata: choices and flags are counted and leave, numbers stay in the events."""
    for name, declaration in metadata.items():
        yield Entry(
            group=METADATA,
            name=name,
            type=_METADATA_TYPES[declaration.kind],
            what=_what(declaration),
            why=declaration.purpose,
            sensitivity=declaration.sensitivity,
            required=False,
            kept=FOR_EVER if declaration.kind in _COUNTED else DAYS_90,
            leaves=declaration.kind in _COUNTED,
            expires=declaration.expires,
        )


_COUNTED: Final = frozenset({Kind.CHOICE, Kind.FLAG})
_METADATA_TYPES: Final = {
    Kind.CHOICE: "text",
    Kind.FLAG: "true or false",
    Kind.COUNT: "integer",
    Kind.MEASURE: "number",
    Kind.DURATION: "number",
    Kind.AMOUNT: "nothing",
}


def _what(declaration: Declaration) -> str:
    also = "; also keys that end with it" if declaration.family else ""
    unit = unit_of(declaration.name)
    if declaration.kind is Kind.CHOICE:
        return f"one of {_listed(declaration)}{also}"
    told = {
        Kind.FLAG: "true or false",
        Kind.COUNT: "how many",
        Kind.MEASURE: "a number that describes a thing",
        Kind.DURATION: "elapsed time",
        Kind.AMOUNT: "money, which is never kept: only that the key was there",
    }
    return f"{told[declaration.kind]}{f' in {unit}' if unit else ''}{also}"


def _listed(declaration: Declaration) -> str:
    values = sorted(declaration.values)
    if len(values) <= _MOST_VALUES_LISTED:
        return ", ".join(values)
    composed = ", or put together from them" if declaration.composed else ""
    return f"{len(values)} listed words{composed}"
