"""The nightly cleaning: by one process, when a day has passed; and an alarm when it has not happened.

A clock that leaps forward must not delete anything.  So a run that finds the last one more than a week away, or in the
future, only notes the time: the cleaning happens a day later, if the clock still says so, and a person has a day to set it right.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, date_of, now_ms
from calos_telemetry.errors import StoreError
from calos_telemetry.sdk.record.spool import DrainLock
from calos_telemetry.sdk.record.storing import next_revision
from calos_telemetry.sdk.rollup.sightings import forget_unused
from calos_telemetry.store.database import writing
from calos_telemetry.store.install_tables import upkeep
from calos_telemetry.store.old_reports import drop_old_reports
from calos_telemetry.store.retention import (
    KEPT_DAYS,
    Cleaned,
    count_old,
    delete_old,
    first_kept,
    give_space_back,
    stored_bytes,
)
from calos_telemetry.store.tables import aggregates, event_rows
from calos_telemetry.store.upserts import add_up

ALARM_MS = 3 * MS_PER_DAY
_EVERY_MS = 22 * MS_PER_HOUR  # a little less than a day, so that a job that asks every hour does it every night
_LEAP_MS = 7 * MS_PER_DAY
_JOB = "clean"
_PATIENCE = 60.0


class Upkeep:
    """Retention of one install."""

    def __init__(self, directory: Path, engine: Engine, install_id: str) -> None:
        self._directory = directory
        self._engine = engine
        self._install_id = install_id

    def run_if_due(self) -> Cleaned | None:
        """Clean up if a day has passed since the last time; ``None`` when it is not time, or another process is at it."""
        now = now_ms()
        if not self._due(now):
            return None
        with DrainLock(self._directory) as elected:
            if not elected or not self._due(now):
                return None
            trusted = self._last() is not None and not self._leapt(now)
            return self._clean(now, KEPT_DAYS) if trusted else self._begin(now)

    def clean(self, days: int = KEPT_DAYS) -> Cleaned:
        """Delete now what is older than ``days`` whole days.  Raises :class:`StoreError` while another process drains."""
        first_kept(now_ms(), days)
        with DrainLock(self._directory, timeout=_PATIENCE) as elected:
            if not elected:
                raise StoreError("another process is moving telemetry into the database: try again in a minute")
            return self._clean(now_ms(), days)

    def preview(self, days: int = KEPT_DAYS) -> Cleaned:
        """Return what :meth:`clean` would delete."""
        with self._engine.connect() as connection:
            return count_old(connection, first_kept(now_ms(), days))

    def alarm(self) -> str | None:
        """Return a sentence when the cleaning has not happened for three days although there is something to clean."""
        with self._engine.connect() as connection:
            oldest = connection.scalar(select(func.min(event_rows.c.created_at)))
        last, now = self._last(), now_ms()
        if oldest is None or oldest >= now - KEPT_DAYS * MS_PER_DAY - ALARM_MS:
            return None
        if last is not None and abs(now - last) <= ALARM_MS:
            return None
        since = "never" if last is None else f"last on {date_of(last)}"
        return f"old events were {since} cleaned up, but should be every night: run calos-telemetry cleanup"

    def _due(self, now: int) -> bool:
        last = self._last()
        return last is None or abs(now - last) >= _EVERY_MS

    def _leapt(self, now: int) -> bool:
        last = self._last()
        return last is not None and not 0 <= now - last <= _LEAP_MS

    def _last(self) -> int | None:
        with self._engine.connect() as connection:
            return connection.scalar(select(upkeep.c.done_at).where(upkeep.c.job == _JOB))

    def _clean(self, now: int, days: int) -> Cleaned:
        first = first_kept(now, days)
        done = delete_old(self._engine, first)
        drop_old_reports(self._engine, now)
        give_space_back(self._engine)
        with writing(self._engine) as connection:
            forget_unused(connection, first)
            self._note(connection, now)
            self._note_size(connection, now)
        return done

    def _begin(self, now: int) -> Cleaned:
        """Note the time, and let a day pass before anything is deleted."""
        with writing(self._engine) as connection:
            self._note(connection, now)
        return Cleaned()

    def _note(self, connection: Connection, now: int) -> None:
        add_up(connection, upkeep, [{"job": _JOB, "done_at": now}], {"done_at": "replace"})

    def _note_size(self, connection: Connection, now: int) -> None:
        row = {
            "install_id": self._install_id,
            "date": date_of(now),
            "counter": "storage_bytes",
            "key": "",
            "value": stored_bytes(connection),
            "revision": next_revision(connection, self._install_id),
        }
        add_up(connection, aggregates, [row], {"value": "replace", "revision": "replace"})
