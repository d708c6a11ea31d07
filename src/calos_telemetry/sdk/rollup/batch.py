"""What a rollup gets: the events of one drain with their ids and times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from calos_telemetry.contract.events import Event

E = TypeVar("E", bound=Event)


class Stored(NamedTuple):
    """One event of the batch: its id (hex digits), when it happened (unix ms), and the event itself."""

    event_id: str
    at: int
    event: Event


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that enter the database in one transaction, under one revision."""

    install_id: str
    revision: int
    events: Sequence[Stored]

    def of(self, kind: type[E]) -> Iterator[tuple[int, E]]:
        """Yield ``(unix ms, event)`` for the events of one kind."""
        for stored in self.events:
            if isinstance(stored.event, kind):
                yield stored.at, stored.event
