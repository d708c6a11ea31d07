"""The operator's summary of a window of hours, read from the events (DESIGN, issue "The whole path").

One pass over the short rows of the window counts by what they have in common; those few hundred parts are then read as
JSON and added up here.  So no event's JSON is put together for it, and both engines answer alike.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_HOUR
from calos_telemetry.errors import SettingsError
from calos_telemetry.store.tables import event_parts, event_rows

MAX_HOURS = 24 * 366 * 10
_US_PER_MS = 1_000
_WITH_FEATURE = frozenset({"feature_usage", "api_request"})


class _Like(NamedTuple):
    """Events of the window that have a part in common: how many, how many with a duration, and the sum of those (µs)."""

    event_type: str
    fields: dict[str, Any]
    times: int
    timed: int
    total_us: int


@dataclass(slots=True)
class _Sum:
    count: int = 0
    timed: int = 0
    total_us: int = 0

    def average_ms(self) -> float | None:
        return round(self.total_us / self.timed / _US_PER_MS, 1) if self.timed else None


def summarise(connection: Connection, *, now: int, hours: int) -> dict[str, Any]:
    """Return the summary of the last ``hours`` before ``now`` (unix ms); durations in ms, ``None`` where none was measured.

    ``totalEvents`` counts uses of features.  Raises :class:`SettingsError` for a window that makes no sense.
    """
    if not 1 <= hours <= MAX_HOURS:
        raise SettingsError(f"hours is {hours}: give a whole number from 1 to {MAX_HOURS}")
    seen = list(_like(connection, now - hours * MS_PER_HOUR, now))
    requests = [like for like in seen if like.event_type == "api_request"]
    featured = [like for like in seen if like.event_type in _WITH_FEATURE and like.fields.get("feature") is not None]
    features = _rows(_added(featured, ("feature",)), ("feature", "count"))
    return {
        "period": f"{hours}h",
        "featureUsage": features,
        "performance": _rows(_added(requests, ("path",)), ("path", "avg_duration", "count")),
        "errors": _rows(
            _added((like for like in seen if like.event_type == "error"), ("category",)), ("error_type", "count")
        ),
        "apiStats": _rows(_added(requests, ("method", "status")), ("method", "status_code", "count", "avg_duration")),
        "totalEvents": sum(row["count"] for row in features),
    }


def _like(connection: Connection, after: int, until: int) -> Iterator[_Like]:
    row = event_rows.c
    sums = (func.count(), func.count(row.duration_us), func.sum(row.duration_us))
    window = (row.created_at > after, row.created_at <= until)
    counted = select(row.part, *sums).where(*window).group_by(row.part)
    parts = {part: (count, timed, int(total or 0)) for part, count, timed, total in connection.execute(counted)}
    known = select(event_parts.c.id, event_parts.c.event_type, event_parts.c.data)
    for part, event_type, data in connection.execute(known):
        if part in parts:
            yield _Like(event_type, json.loads(data), *parts[part])


def _added(seen: Iterable[_Like], names: Sequence[str]) -> dict[tuple[Hashable, ...], _Sum]:
    """Add up what is alike in the fields called ``names``."""
    sums: dict[tuple[Hashable, ...], _Sum] = {}
    for like in seen:
        into = sums.setdefault(tuple(like.fields.get(name) for name in names), _Sum())
        into.count += like.times
        into.timed += like.timed
        into.total_us += like.total_us
    return sums


def _rows(sums: dict[tuple[Hashable, ...], _Sum], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows with the most frequent first; equal counts in the order of their names, so that answers are stable."""
    rows = []
    for key, added in sums.items():
        names = iter(key)
        figures = {"count": added.count, "avg_duration": added.average_ms()}
        rows.append({column: figures[column] if column in figures else next(names) for column in columns})
    return sorted(rows, key=lambda row: (-row["count"], *(str(row[column]) for column in columns)))
