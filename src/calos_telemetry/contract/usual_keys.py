"""The keys of metadata that ordinary business software uses, so that ordinary metadata works undeclared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from calos_telemetry.contract import choices
from calos_telemetry.contract.declaration import Declaration, Kind


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
        "origin scope protocol platform device provider network interval frequency cadence cycle unit units visibility access "
        "permission permissions severity priority urgency level role roles theme environment env strategy direction sort "
        "layout view policy trigger reason code error_code variant style shape position placement target audience model "
        "engine service module component area section screen page tab widget button flow integration transport encoding "
        "algorithm schema trend grade segment subtype handler driver feature resource entity object contract brand browser os",
        "which of a few things it was",
        choices.WORDS
        | choices.MEDIA_TYPES
        | {"3ds", "2fa", "a/b", "n/a", "e-commerce", "add-on", "iOS", "iPadOS", "macOS"},
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
