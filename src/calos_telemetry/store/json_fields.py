"""One field of a JSON text column, in the words of either engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, cast, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Field(FunctionElement[str]):
    """The value of a field as text, NULL where it is not there."""

    name = "json_field"
    type = String()
    inherit_cache = True


def text_of(column: ColumnElement[str], field: str) -> ColumnElement[str]:
    """Return a field of the JSON in ``column`` as text."""
    if not field.isidentifier():
        raise ValueError(f"{field!r} is not the name of a field")
    return _Field(column, literal_column(f"'{field}'"))


def number_of(column: ColumnElement[str], field: str) -> ColumnElement[int]:
    """Return a field of the JSON in ``column`` as a whole number."""
    return cast(text_of(column, field), BigInteger)


@compiles(_Field, "sqlite")
def _on_sqlite(element: _Field, compiler: Any, **options: Any) -> str:
    column, field = element.clauses
    return f"json_extract({compiler.process(column, **options)}, '$.' || {compiler.process(field, **options)})"


@compiles(_Field, "postgresql")
def _on_postgresql(element: _Field, compiler: Any, **options: Any) -> str:
    column, field = element.clauses
    return f"(CAST({compiler.process(column, **options)} AS jsonb) ->> {compiler.process(field, **options)})"
