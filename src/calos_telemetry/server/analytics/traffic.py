"""How much is asked, and how it is answered: requests per day by status class, and per hour of the day."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from calos_telemetry.server.analytics.period import Period
from calos_telemetry.store.tables import aggregates

HOURS = tuple(f"{hour:02}" for hour in range(24))


@dataclass(frozen=True, slots=True)
class Day:
    """The requests of one day (UTC); ``classes`` maps a status class such as ``2xx`` to how many."""

    date: str
    classes: dict[str, int]

    @property
    def requests(self) -> int:
        """Return the requests of all status classes."""
        return sum(self.classes.values())


@dataclass(frozen=True, slots=True)
class Hour:
    """The requests of one hour of the day (UTC, ``00`` to ``23``) over the whole period."""

    hour: str
    requests: int


def per_day(connection: Connection, period: Period) -> list[Day]:
    """Return every day of the period, the oldest first; days without requests are there too."""
    columns = aggregates.c
    query = (
        select(columns.date, columns.key, func.sum(columns.value))
        .where(columns.counter == "requests", columns.date.between(period.since, period.until))
        .group_by(columns.date, columns.key)
        .order_by(columns.date, columns.key)
    )
    days: dict[str, dict[str, int]] = {date: {} for date in period.dates()}
    for date, status_class, requests in connection.execute(query):
        days[date][status_class] = int(requests)
    return [Day(date, classes) for date, classes in days.items()]


def per_hour(connection: Connection, period: Period) -> list[Hour]:
    """Return the 24 hours of the day."""
    columns = aggregates.c
    query = (
        select(columns.key, func.sum(columns.value))
        .where(columns.counter == "hour", columns.date.between(period.since, period.until))
        .group_by(columns.key)
    )
    found = {hour: int(requests) for hour, requests in connection.execute(query)}
    return [Hour(hour, found.get(hour, 0)) for hour in HOURS]
