"""The fleet at a glance."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from calos_telemetry.server.analytics.period import Period
from calos_telemetry.store.tables import aggregates


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole fleet in a period."""

    installs: int
    requests: int
    server_errors: int
    feature_uses: int

    @property
    def server_error_share(self) -> float:
        """Return the share of requests that were answered with 5xx, 0 to 1."""
        return self.server_errors / self.requests if self.requests else 0.0


def overview(connection: Connection, period: Period) -> Overview:
    """Return the totals of the period, over every install that reported something in it."""
    columns = aggregates.c
    is_request, is_use = columns.counter == "requests", columns.counter == "feature"
    query = select(
        func.count(columns.install_id.distinct()),
        func.sum(case((is_request, columns.value), else_=0)),
        func.sum(case((is_request & (columns.key == "5xx"), columns.value), else_=0)),
        func.sum(case((is_use, columns.value), else_=0)),
    ).where(columns.date.between(period.since, period.until))
    installs, requests, server_errors, uses = connection.execute(query).one()
    return Overview(installs, int(requests or 0), int(server_errors or 0), int(uses or 0))
