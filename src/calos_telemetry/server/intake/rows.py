"""One row of a report: checked against the catalogue, scrubbed again, and turned into a row of the database.

Types and bounds are the contract's own and are enforced while decoding; here is what a type cannot say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Table

from calos_telemetry.clock import MS_PER_DAY, date_of, from_iso
from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.events import CATEGORIES, DELIVERIES, METHODS, OTHER_METHOD, STYLES
from calos_telemetry.contract.histogram import Histogram, unpack
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.server.intake.scrub import is_clean, scrub
from calos_telemetry.store import tables

_OLDEST = "2000-01-01"
_AHEAD_MS = 2 * MS_PER_DAY  # a date line and a day of grace
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,39}$")
_METHODS = METHODS | {OTHER_METHOD}
_HOURS = frozenset(f"{hour:02}" for hour in range(24))
_CLASSES = frozenset(f"{digit}xx" for digit in range(10))
_NO_KEY = frozenset({""})

# The counters whose keys are a closed list.
_KEYS: dict[str, frozenset[str]] = {
    "requests": _CLASSES,
    "method": _METHODS,
    "hour": _HOURS,
    "style": STYLES,
    "delivery": DELIVERIES,
    "error": CATEGORIES,
    "bytes_in": _NO_KEY,
    "bytes_out": _NO_KEY,
}


class RejectedRow(Exception):  # noqa: N818 - it is a count, not a fault
    """Why a row is not taken, as the word under which it is counted."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a row is measured against: the day (unix ms) and the revision of its report."""

    now: int
    to_revision: int

    @property
    def latest(self) -> int:
        """Return the last moment that is not in the future."""
        return self.now + _AHEAD_MS


RowType = TypeVar("RowType", FeatureRow, ErrorRow, PerformanceRow, AggregateRow)


@dataclass(frozen=True, slots=True)
class Kind(Generic[RowType]):
    """One list of a report: its table, its rows' type, and what makes a row of the database from one of them."""

    name: str
    table: Table
    decode: Callable[[msgspec.Raw], RowType]
    columns: Callable[[RowType, Bounds], dict[str, Any]]

    def read(self, raw: msgspec.Raw, bounds: Bounds) -> dict[str, Any]:
        """Return ``raw`` as a row of the database.  Raises :class:`RejectedRow`."""
        try:
            row = self.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise RejectedRow("malformed") from None
        _refuse(row.revision > bounds.to_revision, "bad_revision")
        return self.columns(row, bounds)


def _feature(row: FeatureRow, bounds: Bounds) -> dict[str, Any]:
    _check_times(row.first_used_at, row.last_used_at, bounds)
    _refuse(not row.feature or not is_clean(row.feature), "unscrubbed")
    return msgspec.structs.asdict(row)


def _error(row: ErrorRow, bounds: Bounds) -> dict[str, Any]:
    _check_times(row.first_seen_at, row.last_seen_at, bounds)
    _refuse(row.type not in CATEGORIES, "unknown_category")
    _refuse(row.method is not None and row.method not in _METHODS, "unknown_method")
    columns = msgspec.structs.asdict(row)
    for name in ("name", "message", "stack", "path"):
        if columns[name]:
            columns[name] = scrub(columns[name])
    return columns


def _performance(row: PerformanceRow, bounds: Bounds) -> dict[str, Any]:
    _check_date(row.day, bounds)
    _refuse(not _METRIC.match(row.metric), "unknown_metric")
    _refuse(bool(row.method) and row.method not in _METHODS, "unknown_method")
    _refuse(not is_clean(row.path), "unscrubbed")
    histogram = _histogram(row)
    columns = msgspec.structs.asdict(row)
    columns["period"] = from_iso(columns.pop("day") + "T00:00:00Z")
    columns["histogram"] = msgspec.json.encode(histogram).decode()
    return columns


def _histogram(row: PerformanceRow) -> Histogram:
    try:
        histogram = unpack(row.histogram)
    except ValueError:
        raise RejectedRow("bad_histogram") from None
    _refuse(sum(histogram.values()) > row.count, "bad_histogram")
    return histogram


def _aggregate(row: AggregateRow, bounds: Bounds) -> dict[str, Any]:
    _check_date(row.date, bounds)
    _refuse(row.counter not in COUNTER_NAMES, "unknown_counter")
    closed = _KEYS.get(row.counter)
    _refuse(closed is not None and row.key not in closed, "unknown_key")
    _refuse(closed is None and not is_clean(row.key), "unscrubbed")
    return msgspec.structs.asdict(row)


def _check_times(first: int, last: int, bounds: Bounds) -> None:
    _refuse(first > last or last > bounds.latest, "bad_time")


def _check_date(text: str, bounds: Bounds) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise RejectedRow("bad_date") from None
    _refuse(not _OLDEST <= text <= date_of(bounds.latest), "bad_date")


def _refuse(wrong: bool, reason: str) -> None:
    if wrong:
        raise RejectedRow(reason)


KINDS: tuple[Kind[Any], ...] = (
    Kind("features", tables.features, msgspec.json.Decoder(FeatureRow).decode, _feature),
    Kind("errors", tables.errors, msgspec.json.Decoder(ErrorRow).decode, _error),
    Kind("performance", tables.performance, msgspec.json.Decoder(PerformanceRow).decode, _performance),
    Kind("aggregates", tables.aggregates, msgspec.json.Decoder(AggregateRow).decode, _aggregate),
)
