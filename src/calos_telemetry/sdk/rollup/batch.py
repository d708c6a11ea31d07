"""What a rollup gets: the events of one drain with their ids and times, and the requests among them by their kinds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple, TypeVar, cast

import msgspec

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.events import CLIENT, VARYING, ApiRequest, Event

E = TypeVar("E", bound=Event)

Client = tuple[str | None, ...]
"""Country, browser and operating system of a request."""

client_of: Callable[[ApiRequest], Client] = attrgetter(*CLIENT)
_kind_of = attrgetter(*(name for name in ApiRequest.__struct_fields__ if name not in {*VARYING, *CLIENT}))


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One event of the batch: its id (hex digits), when it happened (unix ms), and the event itself."""

    event_id: str
    at: int
    event: Event


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request of the batch: its id (hex digits), when it was answered (unix ms), and the request itself."""

    event_id: str
    at: int
    event: ApiRequest


class AlikeRequests(NamedTuple):
    """Requests of one hour that differ in nothing but time, sizes, and who asked with what.

    A batch has thousands of requests and some dozens of these, so what is done once for all of them costs nothing.
    """

    like: ApiRequest
    requests: list[Asked]


@dataclass(frozen=True)
class Batch:
    """Events that enter the database in one transaction, under one revision."""

    install_id: str
    revision: int
    events: Sequence[Stored]

    def of(self, kind: type[E]) -> Iterator[tuple[int, E]]:
        """Yield ``(unix ms, event)`` for the events of one kind, which is not the requests: they are in ``alike``."""
        for stored in self._by_kind[kind]:
            yield stored.at, cast("E", stored.event)

    @cached_property
    def alike(self) -> list[AlikeRequests]:
        """The requests, by hour and kind, each list in the order of arrival."""
        found: dict[object, list[Asked]] = defaultdict(list)
        for asked in cast("list[Asked]", self._by_kind[ApiRequest]):
            found[asked.at // MS_PER_HOUR, _kind_of(asked.event)].append(asked)
        return [AlikeRequests(requests[0].event, requests) for requests in found.values()]

    @cached_property
    def clients(self) -> Counter[tuple[int, Client]]:
        """How many requests there were on each day (since 1970-01-01) from each kind of client."""
        found: Counter[tuple[int, Client]] = Counter()
        for _, requests in self.alike:
            day = requests[0].at // MS_PER_DAY
            for client, number in Counter([client_of(asked.event) for asked in requests]).items():
                found[day, client] += number
        return found

    @property
    def others(self) -> Iterator[Stored]:
        """The events that are no requests."""
        for kind, some in self._by_kind.items():
            if kind is not ApiRequest:
                yield from some

    @cached_property
    def _by_kind(self) -> dict[type, list[Stored]]:
        found: dict[type, list[Stored]] = defaultdict(list)
        for stored in self.events:
            found[type(stored.event)].append(stored)
        return found
