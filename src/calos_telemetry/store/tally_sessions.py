"""The sessions of a window, and its failures, each from its own table."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_DAY, date_of, to_iso
from calos_telemetry.store.tables import errors, sessions
from calos_telemetry.store.tally import Range

_MOST_FAILURES = 10


def session_figures(connection: Connection, install_id: str, whole: Range) -> dict[str, Any]:
    """Return how many sessions began in the window, how long they lasted (seconds), and how many began on each day."""
    column = sessions.c
    day = (column.started_at - column.started_at % MS_PER_DAY).label("day")
    mine = column.install_id == install_id, column.started_at >= whole.start, column.started_at < whole.end
    query = select(day, column.duration_seconds, func.count()).where(*mine).group_by(day, column.duration_seconds)
    days: Counter[int] = Counter()
    lengths: Counter[int] = Counter()
    for start, seconds, count in connection.execute(query):
        days[start] += count
        lengths[seconds] += count
    count = days.total()
    return {
        "count": count,
        "avg_seconds": round(sum(length * times for length, times in lengths.items()) / count, 1) if count else None,
        "median_seconds": _median(lengths),
        "perDay": [{"date": date_of(start), "count": number} for start, number in sorted(days.items())],
    }


def _median(lengths: Counter[int]) -> int | None:
    """Return the length that half of the sessions do not exceed."""
    reached = 0
    for length, times in sorted(lengths.items()):
        reached += times
        if 2 * reached >= lengths.total():
            return length
    return None


def top_failures(connection: Connection, install_id: str, whole: Range) -> list[dict[str, Any]]:
    """Return the failures last seen in the window, the most frequent first; ``count`` is how often they occurred, ever."""
    column = errors.c
    mine = column.install_id == install_id, column.last_seen_at >= whole.start, column.last_seen_at < whole.end
    columns = (column.type, column.name, column.message, column.path, column.occurrence_count, column.last_seen_at)
    query = select(*columns).where(*mine).order_by(column.occurrence_count.desc(), column.fingerprint)
    names = ("error_type", "name", "message", "path", "count")
    return [
        {**dict(zip(names, row, strict=False)), "last_seen": to_iso(row.last_seen_at)}
        for row in connection.execute(query.limit(_MOST_FAILURES))
    ]
