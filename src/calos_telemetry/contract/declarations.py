"""What an application's metadata may say: keys, their kind, and the closed values of each.

`BUILTIN` covers the keys that ordinary business software uses, so that ordinary metadata works undeclared. A host
application adds its own in code (`Declarations.with_metadata`) or in a TOML file (`Declarations.from_toml`)::

    [features]
    pos_transaction = "a sale at the till"

    [metadata.table_shape]
    values = ["round", "square"]
    purpose = "which floor plans are drawn"
    expires = 2027-01-01
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

import msgspec

from calos_telemetry.clock import day_of, now_ms
from calos_telemetry.contract.declaration import (
    MAX_VALUE,
    MAX_VALUES,
    Declaration,
    DeclarationError,
    Kind,
    normal_form,
    words_of,
)
from calos_telemetry.contract.fields import MAX_NAME
from calos_telemetry.contract.usual_keys import BUILTIN

__all__ = ["BUILTIN", "Declaration", "DeclarationError", "Declarations", "Kind", "normal_form", "words_of"]


class Declarations:
    """The built-in declaration and what a host application adds; its own win over the built-in ones."""

    def __init__(
        self, metadata: Mapping[str, Declaration] = BUILTIN, features: Mapping[str, str] | None = None
    ) -> None:
        self.metadata: Mapping[str, Declaration] = MappingProxyType(dict(metadata))
        self.features: Mapping[str, str] = MappingProxyType(dict(features or {}))
        self._found: dict[str, Declaration | None] = {}

    def find(self, key: str) -> Declaration | None:
        """Return the declaration of a key: its own, or that of the family its last words name."""
        if key not in self._found:
            if len(self._found) >= _MOST_CACHED:
                self._found.clear()
            self._found[key] = self._search(key)
        return self._found[key]

    def _search(self, key: str) -> Declaration | None:
        words = words_of(key)
        for start in range(len(words)):
            declaration = self.metadata.get("_".join(words[start:]))
            if declaration is not None and (start == 0 or declaration.family):
                return declaration
        return None

    def expired(self, declaration: Declaration) -> bool:
        """Say whether a key may not be recorded any more; asks the clock only where a day is declared."""
        return declaration.expires is not None and day_of(now_ms()) >= (declaration.expires - _EPOCH).days

    def own(self) -> Declarations:
        """Return what the host application declares, without what is built in."""
        added = {name: one for name, one in self.metadata.items() if BUILTIN.get(name) is not one}
        return Declarations(added, self.features)

    def with_all_of(self, other: Declarations) -> Declarations:
        """Return these declarations and those that another host or file adds, which win."""
        added = other.own()
        return Declarations({**self.metadata, **added.metadata}, {**self.features, **added.features})

    def with_metadata(self, *declarations: Declaration) -> Declarations:
        """Return these declarations and `declarations`."""
        for declaration in declarations:
            _check(declaration, "the application's code")
        added = {normal_form(declaration.name): declaration for declaration in declarations}
        return Declarations({**self.metadata, **added}, self.features)

    def with_features(self, features: Mapping[str, str]) -> Declarations:
        """Return these declarations and `features`, each with its purpose."""
        return Declarations(self.metadata, {**self.features, **features})

    @classmethod
    def from_toml(cls, text: str, file: str = "the declarations") -> Declarations:
        """Read the declarations of a host application; `file` is named in errors."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DeclarationError(f"{file}: this is not TOML ({error}). Correct that line.") from error
        for key in document.keys() - {"features", "metadata"}:
            raise DeclarationError(f"{file}: unknown table [{key}]. Write [features] or [metadata.NAME].")
        features = _features(_table(document.get("features", {}), "features", file), file)
        metadata = _table(document.get("metadata", {}), "metadata", file)
        _check_distinct(metadata, file)
        declared = [
            _from_table(name, _table(entry, f"metadata.{name}", file), file) for name, entry in metadata.items()
        ]
        return cls().with_features(features).with_metadata(*declared)


_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_DIGITS: Final = re.compile(r"\d")
_PERSONAL_DIGITS: Final = 7  # as a telephone number has
_MOST_CACHED: Final = 4096
_FIELDS: Final = frozenset({"kind", "values", "purpose", "sensitivity", "expires"})
_EPOCH: Final = date(1970, 1, 1)


def _table(value: object, name: str, file: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DeclarationError(f"{file}: {name} is a {type(value).__name__}. Make it a table: [{name}].")
    return value


def _features(table: dict[str, object], file: str) -> dict[str, str]:
    """Read ``[features]``: a purpose for each name."""
    features: dict[str, str] = {}
    for name, purpose in table.items():
        if not 0 < len(name) <= MAX_NAME:
            raise DeclarationError(f"{file}: features: a name has 1 to {MAX_NAME} characters. Rename {name[:40]!r}.")
        if not isinstance(purpose, str):
            raise DeclarationError(f'{file}: features.{name}: write {name} = "what the feature is for".')
        features[name] = purpose
    return features


def _check_distinct(metadata: Mapping[str, object], file: str) -> None:
    """Refuse two spellings of one key: the later would silently win."""
    first: dict[str, str] = {}
    for name in metadata:
        known = first.setdefault(normal_form(name), name)
        if known != name:
            raise DeclarationError(f"{file}: metadata.{name} is the same key as metadata.{known}. Keep one of them.")


def _from_table(name: str, entry: dict[str, object], file: str) -> Declaration:
    """Read one ``[metadata.NAME]``; what has values is a choice, what has not is a flag unless it says otherwise."""
    for field in entry.keys() - _FIELDS:
        raise DeclarationError(f"{file}: metadata.{name}.{field} is unknown. Use {', '.join(sorted(_FIELDS))}.")
    if entry.get("kind", Kind.FLAG) not in list(Kind):
        raise DeclarationError(f"{file}: metadata.{name}.kind = {entry['kind']!r}: use one of {', '.join(Kind)}.")
    fields = {"kind": "choice" if "values" in entry else "flag", "purpose": "declared by the application", **entry}
    try:
        declaration = msgspec.convert({"name": name, **fields}, Declaration)
    except msgspec.ValidationError as error:
        raise DeclarationError(f"{file}: metadata.{name}: {error}. Correct that field.") from error
    _check(declaration, file)
    return declaration


def _check(declaration: Declaration, file: str) -> None:
    """Refuse names that are not names, choices without values, and values that are free text."""
    where = f"{file}: metadata.{declaration.name}"
    if _NAME.fullmatch(normal_form(declaration.name)) is None:
        raise DeclarationError(f"{where}: a key begins with a letter and has letters, digits and _ only. Rename it.")
    if declaration.kind is Kind.CHOICE and not declaration.values and not declaration.composed:
        raise DeclarationError(f'{where} is a choice without values. Add values = ["one", "other"].')
    if declaration.values and declaration.kind is not Kind.CHOICE:
        raise DeclarationError(f"{where} is a {declaration.kind} and has values. Remove them, or make it a choice.")
    if len(declaration.values) > MAX_VALUES and not declaration.as_written:
        raise DeclarationError(f"{where} has {len(declaration.values)} values, more than {MAX_VALUES}. Declare fewer.")
    for value in sorted(declaration.values):
        if "@" in value or len(_DIGITS.findall(value)) >= _PERSONAL_DIGITS:
            raise DeclarationError(f"{where}: {value!r} is somebody's and no choice. Declare words, or fewer digits.")
        if not normal_form(value) or len(value) > MAX_VALUE or not value.isascii():
            raise DeclarationError(
                f"{where}: {value!r} is not 1 to {MAX_VALUE} ASCII characters. Shorten or rename it."
            )
