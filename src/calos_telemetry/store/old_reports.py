"""Retention of the ledger: 400 days, in whole days of UTC, from its old end on.

Two of the dropped lines stay: the last with a receipt, so that the next receipt still has the one it follows, and the last
of all, so that every number missing further on is missing for another reason.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, delete, func, select

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.store.install_tables import reports
from calos_telemetry.store.transactions import writing

REPORTS_KEPT_DAYS: Final = 400


def is_kept(sealed_at: int, now: int) -> bool:
    """Whether a report sealed at ``sealed_at`` stays at ``now`` (unix ms); one from the future tells nothing and goes along."""
    first = now - now % MS_PER_DAY - REPORTS_KEPT_DAYS * MS_PER_DAY
    return first <= sealed_at <= now


def drop_old_reports(engine: Engine, now: int) -> int:
    """Drop the lines before the first that is kept at ``now`` (unix ms), and return how many went."""
    column = reports.c
    with writing(engine) as connection:
        lines = connection.execute(select(column.number, column.sealed_at).order_by(column.number))
        first = next((number for number, sealed_at in lines if is_kept(sealed_at, now)), None)
        old = column.state != "sealed"
        if first is not None:
            old &= column.number < first
        anchors = connection.execute(
            select(func.max(column.number), func.max(column.number).filter(column.receipt_text.is_not(None))).where(old)
        ).one()
        dropped = delete(reports).where(old, column.number.not_in([one for one in anchors if one is not None]))
        return connection.execute(dropped).rowcount
