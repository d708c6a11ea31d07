"""What fails: each failure once, with the installs that see it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from calos_telemetry.server.analytics.period import Period
from calos_telemetry.store.tables import errors


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure.  ``occurrences`` and both moments (unix ms) are of all time, because that is what installs report."""

    type: str
    name: str
    message: str
    installs: int
    occurrences: int
    first_seen_at: int
    last_seen_at: int


def failures(connection: Connection, period: Period, limit: int = 10) -> list[Failure]:
    """Return the failures that were seen in the period, the most widespread first."""
    columns = errors.c
    installs, occurrences = func.count(columns.install_id.distinct()), func.sum(columns.occurrence_count)
    query = (
        select(
            columns.type,
            columns.name,
            func.min(columns.message),
            installs,
            occurrences,
            func.min(columns.first_seen_at),
            func.max(columns.last_seen_at),
        )
        .where(columns.last_seen_at >= period.since_ms)
        .group_by(columns.fingerprint, columns.type, columns.name)
        .order_by(installs.desc(), occurrences.desc(), columns.fingerprint)
        .limit(limit)
    )
    return [
        Failure(kind, name, message, seen_by, int(times), first, last)
        for kind, name, message, seen_by, times, first, last in connection.execute(query)
    ]
