"""What an application's metadata may say: keys, their kind, and the closed values of each.

`BUILTIN` covers the keys that ordinary business software uses, so that ordinary metadata works undeclared. A host
application adds its own in code (`Declarations.with_metadata`) or in a TOML file (`Declarations.from_toml`)::

    [features]
    pos_transaction = "a sale at the till"

    [metadata.table_shape]
    values = ["round", "square"]
    purpose = "which floor plans are drawn"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from calos_telemetry.contract import choices
from calos_telemetry.contract.fields import MAX_NAME, Sensitivity
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
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_MOST_WORDS: Final = 4


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


def _builtin(
    kind: Kind, names: str, purpose: str, values: Iterable[str] = (), *, composed: bool = False
) -> Iterable[Declaration]:
    """Declare several built-in keys of one kind; all of them are families."""
    closed = frozenset(values)
    for name in names.split():
        yield Declaration(
            name=name, kind=kind, purpose=purpose, values=closed, family=True, composed=composed, as_written=True
        )  # fmt: skip


def _builtins() -> Iterable[Declaration]:
    choice, count = Kind.CHOICE, Kind.COUNT
    yield from _builtin(
        choice,
        "status state substate result outcome phase stage step decision verdict resolution condition availability progress",
        "how far something has come, and how it ended",
        choices.STATES | choices.US_STATES,
        composed=True,
    )
    yield from _builtin(
        choice,
        "type kind category categories class mode action actions event events operation method format source channel medium "
        "origin scope protocol platform device provider network interval frequency cadence unit units visibility access "
        "permission permissions severity priority urgency level role roles theme environment env strategy direction sort "
        "layout view policy trigger reason code error_code variant style shape position placement target audience model "
        "engine service module component area section screen page tab widget button flow integration transport encoding "
        "algorithm schema trend grade segment subtype handler driver feature resource entity object contract brand browser os",
        "which of a few things it was",
        choices.WORDS | choices.MEDIA_TYPES | {"3ds", "2fa", "a/b", "n/a", "e-commerce", "add-on"},
        composed=True,
    )
    yield from _builtin(
        choice, "payment_method payment_type card_brand card_type tender", "how customers pay", choices.PAYMENT_METHODS, composed=True
    )  # fmt: skip
    yield from _builtin(
        choice,
        "http_method request_method verb",
        "tells reading from changing",
        ["get", "head", "post", "put", "patch", "delete", "options", "trace", "connect", "query"],
    )
    yield from _builtin(
        choice,
        "plan tier edition package license",
        "which offer is used",
        [
            "free",
            "trial",
            "freemium",
            "basic",
            "starter",
            "hobby",
            "personal",
            "standard",
            "plus",
            "premium",
            "pro",
            "professional",
            "team",
            "teams",
            "business",
            "company",
            "growth",
            "scale",
            "advanced",
            "gold",
            "silver",
            "bronze",
            "platinum",
            "enterprise",
            "community",
            "developer",
            "development",
            "legacy",
            "custom",
            "none",
            "unlimited",
            "student",
            "education",
            "nonprofit",
            "lite",
            "essential",
            "essentials",
            "ultimate",
            "monthly",
            "yearly",
            "annual",
            "npm",
            "docker",
            "maven",
            "nuget",
        ],
    )
    yield from _builtin(choice, "currency currencies", "which currencies are in use (ISO 4217)", choices.CURRENCIES)
    yield from _builtin(
        choice, "country countries country_code", "where the product is used (ISO 3166)", choices.COUNTRIES
    )
    yield from _builtin(
        choice, "language lang locale languages", "which translations are used (ISO 639)", choices.LANGUAGES
    )
    yield from _builtin(
        count,
        "count counts quantity qty items page pages per_page limit attempts attempt retries retry rows records results matches "
        "files images lines pages size length bytes kb mb replies views likes errors warnings hits misses steps seats slots "
        "stars votes followers downloads installs clicks batch_size chunk_size concurrency workers threads",
        "how much it is used",
    )
    yield from _builtin(
        Kind.MEASURE,
        "version revision width height depth offset index tz_offset status_code http_status ratio zoom scale volume fps dpi",
        "a number that describes a thing",
    )
    yield from _builtin(
        Kind.DURATION,
        "duration duration_ms duration_us duration_s elapsed elapsed_ms latency latency_ms time_ms response_time timeout ttl "
        "delay wait ms millis seconds minutes hours days weeks months",
        "how long it takes",
    )
    yield from _builtin(Kind.FLAG, "success ok enabled active", "whether it worked, whether it is switched on")
    yield from _builtin(
        Kind.AMOUNT,
        "amount amt price cost costs total subtotal balance fee fees tax vat salary wage wages revenue income budget discount "
        "sum cents money tip profit margin turnover spend spent net gross value",
        "money; only that the key was there is kept",
    )


BUILTIN: Final[Mapping[str, Declaration]] = MappingProxyType({one.name: one for one in _builtins()})
"""The usual keys, by name."""


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
        declared = [
            _from_table(name, _table(entry, f"metadata.{name}", file), file) for name, entry in metadata.items()
        ]
        return cls().with_features(features).with_metadata(*declared)


_MOST_CACHED: Final = 4096
_FIELDS: Final = frozenset({"kind", "values", "purpose", "sensitivity"})


def _table(value: object, name: str, file: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DeclarationError(f"{file}: {name} is a {type(value).__name__}. Make it a table: [{name}].")
    return value


def _features(table: dict[str, object], file: str) -> dict[str, str]:
    """Read ``[features]``: a purpose for each name."""
    features: dict[str, str] = {}
    for name, purpose in table.items():
        if not isinstance(purpose, str) or not 0 < len(name) <= MAX_NAME:
            raise DeclarationError(f'{file}: features.{name}: write {name} = "what the feature is for".')
        features[name] = purpose
    return features


def _from_table(name: str, entry: dict[str, object], file: str) -> Declaration:
    """Read one ``[metadata.NAME]``; what has values is a choice, what has not is a flag unless it says otherwise."""
    for field in entry.keys() - _FIELDS:
        raise DeclarationError(f"{file}: metadata.{name}.{field} is unknown. Use {', '.join(sorted(_FIELDS))}.")
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
        if not normal_form(value) or len(value) > MAX_VALUE or not value.isascii():
            raise DeclarationError(
                f"{where}: {value!r} is not 1 to {MAX_VALUE} ASCII characters. Shorten or rename it."
            )
