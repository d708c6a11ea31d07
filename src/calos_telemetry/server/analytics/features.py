"""Which features are used: how often, and on how many installs."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from calos_telemetry.server.analytics.period import Period
from calos_telemetry.store.tables import aggregates


@dataclass(frozen=True, slots=True)
class PopularFeature:
    """One feature in a period."""

    feature: str
    installs: int
    uses: int


def popular(connection: Connection, period: Period, limit: int = 10) -> list[PopularFeature]:
    """Return the features that were used most, the most used first."""
    columns = aggregates.c
    uses = func.sum(columns.value)
    query = (
        select(columns.key, func.count(columns.install_id.distinct()), uses)
        .where(columns.counter == "feature", columns.date.between(period.since, period.until))
        .group_by(columns.key)
        .order_by(uses.desc(), columns.key)
        .limit(limit)
    )
    return [PopularFeature(feature, installs, int(used)) for feature, installs, used in connection.execute(query)]
