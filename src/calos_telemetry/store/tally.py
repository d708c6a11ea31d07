"""What a window of time adds up to, whichever tables it was read from: two tallies can be put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from calos_telemetry.contract.events import SLOW_REQUEST_US
from calos_telemetry.contract.histogram import Histogram, merge, percentile

US_PER_MS = 1_000
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Range(NamedTuple):
    """Moments from ``start`` up to ``end`` (unix ms), ``end`` not among them."""

    start: int
    end: int


class Route(NamedTuple):
    """Requests that are alike."""

    method: str
    path: str
    status: int


class Operation(NamedTuple):
    """What was measured that is no request: a transaction or a kind of query; a failed one has a metric of its own."""

    metric: str
    name: str


@dataclass(slots=True)
class Latency:
    """How many there were, of how many the duration is known, the sum of those (µs) and how they are spread."""

    count: int = 0
    timed: int = 0
    total_us: int = 0
    histogram: Histogram = field(default_factory=dict)

    def add(self, count: int, timed: int, total_us: int, histogram: Mapping[int, int]) -> None:
        """Add some more."""
        self.count += count
        self.timed += timed
        self.total_us += total_us
        merge(self.histogram, histogram)

    def join(self, other: Latency) -> None:
        """Add another one."""
        self.add(other.count, other.timed, other.total_us, other.histogram)

    def average_ms(self) -> float | None:
        """Return the average in ms, ``None`` where nothing was measured."""
        return round(self.total_us / self.timed / US_PER_MS, 1) if self.timed else None

    def percentiles_ms(self) -> dict[str, float | None]:
        """Return p50, p95 and p99 in ms, at most 1.6 % from the true ones."""
        values = {name: percentile(self.histogram, share) for name, share in SHARES.items()}
        return {name: None if value is None else round(value / US_PER_MS, 1) for name, value in values.items()}


@dataclass(slots=True)
class Tally:
    """Everything that is counted in a window."""

    requests: dict[Route, Latency] = field(default_factory=dict)
    operations: dict[Operation, Latency] = field(default_factory=dict)
    classes: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    slow: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def of_requests(self, route: Route) -> Latency:
        """Return what is known of a kind of request, to be added to."""
        return self.requests.setdefault(route, Latency())

    def of_operation(self, operation: Operation) -> Latency:
        """Return what is known of an operation, to be added to."""
        return self.operations.setdefault(operation, Latency())

    def count_requests(self, route: Route, hour: int, number: int) -> None:
        """Count requests of an hour of the day where no counter does it."""
        self.classes[f"{route.status // 100}xx"] += number
        self.hours[hour] += number


def is_slow(duration_us: int) -> bool:
    """Whether a request took a second or longer."""
    return duration_us >= SLOW_REQUEST_US


def joined(latencies: Iterator[tuple[Any, Latency]]) -> dict[Any, Latency]:
    """Put together what has the same key."""
    sums: dict[Any, Latency] = {}
    for key, latency in latencies:
        sums.setdefault(key, Latency()).join(latency)
    return sums
