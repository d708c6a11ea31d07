"""How a field is declared: what it is, why it exists, how sensitive it is; written next to its type.

``Annotated[str, declared("what", "why", ...)]`` feeds validation (msgspec), the JSON Schema and the catalogue alike.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import inspect


class Sensitivity(StrEnum):
    """How close a value comes to a person, from far to near."""

    TECHNICAL = "technical"
    INTERACTION = "interaction"
    PSEUDONYMOUS = "pseudonymous"


def declared(
    what: str,
    why: str,
    sensitivity: Sensitivity = Sensitivity.TECHNICAL,
    *,
    required: bool = True,
    expires: date | None = None,
    **bounds: Any,
) -> msgspec.Meta:
    """Return the declaration of a field.

    ``required`` is false where an operator may switch the field off; ``expires`` is the day from which on nobody may
    record it any more (the linter of the catalogue says so before a release); ``bounds`` are msgspec's own (``ge``,
    ``le``, ``max_length``, ``pattern``) and are enforced wherever a value is decoded.
    """
    extra = {"why": why, "sensitivity": sensitivity.value, "required": required, "expires": expires}
    shown = {"x-purpose": why, "x-sensitivity": sensitivity.value}
    return msgspec.Meta(description=what, extra=extra, extra_json_schema=shown, **bounds)


def declaration_of(type_: inspect.Type) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return what :func:`declared` said about a type, for the schema and beside it; ``None`` where it said nothing."""
    if isinstance(type_, inspect.Metadata):
        if type_.extra is not None and "why" in type_.extra:
            return type_.extra_json_schema or {}, type_.extra
        return declaration_of(type_.type)
    if isinstance(type_, inspect.UnionType):
        return next((told for told in map(declaration_of, type_.types) if told is not None), None)
    return None


def optional_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields of a type that an operator may switch off."""
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{kind.__name__} is not a struct")
    told = {field.name: declaration_of(field.type) for field in described.fields}
    return frozenset(name for name, one in told.items() if one is not None and not one[1]["required"])


MAX_COUNT = 2**53 - 1  # the largest integer that JSON readers of every language keep exactly
MAX_PATH = 200
MAX_NAME = 120
MAX_MESSAGE = 500
MAX_STACK = 2_000

INSTALL_ID = r"^[0-9a-f]{32}$"
HASH = r"^[0-9a-f]{16}$"

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""Unix milliseconds."""
