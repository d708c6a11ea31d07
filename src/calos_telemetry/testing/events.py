"""What an application has recorded: the obfuscated events, as they stand in the install's own database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select

from calos_telemetry.errors import StateError
from calos_telemetry.sdk.telemetry import Telemetry, latest_telemetry
from calos_telemetry.store.tables import events


@dataclass(frozen=True)
class CapturedEvent:
    """One event: its type, such as ``api_request``, when it happened (unix ms), and its obfuscated fields."""

    type: str
    at: int
    fields: dict[str, Any]


class Captured:
    """The events since a moment.  Each question moves what the application has recorded into the database first."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        telemetry.flush()
        with telemetry.install.engine.connect() as connection:
            self._before = set(connection.scalars(select(events.c.event_id)))

    def all(self) -> list[CapturedEvent]:
        """Return the events in the order in which they happened."""
        self._telemetry.flush()
        columns = events.c.event_id, events.c.event_type, events.c.created_at, events.c.event_data
        with self._telemetry.install.engine.connect() as connection:
            rows = connection.execute(select(*columns).order_by(events.c.created_at, events.c.event_id)).all()
        return [
            CapturedEvent(kind, at, msgspec.json.decode(data))
            for id_, kind, at, data in rows
            if id_ not in self._before
        ]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        """Return the fields of the events of one type."""
        return [event.fields for event in self.all() if event.type == event_type]


@contextmanager
def capture_events(telemetry: Telemetry | None = None) -> Iterator[Captured]:
    """Lend what tells which events were recorded since the beginning of the block, by any process of the install.

    Without ``telemetry`` it is the one that this process created last.  Nothing is recorded for development hosts, so let
    the test's client ask for a public one (``https://shop.example.com``).  Raises :class:`StateError` where telemetry is
    off, with the reason.
    """
    found = telemetry or latest_telemetry()
    if found is None:
        raise StateError("no telemetry was created in this process: import the application first")
    if found.problem is not None:
        raise StateError(f"telemetry is off: {found.problem}")
    yield Captured(found)
