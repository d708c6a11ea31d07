"""The operator's numbers for other monitoring systems: counters since the install began, latencies of the last 24 hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_DAY, hour_of, now_ms
from calos_telemetry.contract.counters import COUNTERS
from calos_telemetry.contract.histogram import Histogram, merge, percentile
from calos_telemetry.sdk.rollup.performance import read_histogram
from calos_telemetry.store.tables import aggregates, performance

if TYPE_CHECKING:
    from calos_telemetry.sdk.install import Install

_QUANTILES = ((0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99"))
_US = 1_000_000


class Family(NamedTuple):
    """Numbers of one name; ``counts`` says that they only rise."""

    name: str
    what: str
    counts: bool
    unit: str = "1"


class Number(NamedTuple):
    """One number with its labels."""

    family: str
    labels: Mapping[str, str]
    value: float


_COUNTED = tuple(Family(f"calos.{each.name}", f"{each.what}; key: {each.key}", counts=True) for each in COUNTERS)
_EVENTS = Family("calos.events", "events by what became of them", counts=False)
_LATENCY = Family("calos.latency", "latency in the last 24 hours", counts=False, unit="s")
_MEASURED = Family("calos.measured", "measurements in the last 24 hours", counts=False)
FAMILIES = (*_COUNTED, _EVENTS, _LATENCY, _MEASURED)


def numbers(install: Install) -> Iterator[Number]:
    """Yield every number as the database holds it now."""
    with install.engine.connect() as connection:
        yield from _counters(connection)
        yield from _latencies(connection)
    books = install.books()
    for state, value in (("recorded", books.recorded), ("stored", books.stored), ("pending", books.pending)):
        yield Number(_EVENTS.name, {"state": state}, value)
    for reason, value in books.dropped.items():
        yield Number(_EVENTS.name, {"state": "dropped", "reason": reason}, value)


def _counters(connection: Connection) -> Iterator[Number]:
    column = aggregates.c
    query = select(column.counter, column.key, func.sum(column.value)).group_by(column.counter, column.key)
    for counter, key, value in connection.execute(query.order_by(column.counter, column.key)):
        yield Number(f"calos.{counter}", {"key": key} if key else {}, int(value))


def _latencies(connection: Connection) -> Iterator[Number]:
    column = performance.c
    query = select(column.metric, column.method, column.path, column.status, column.histogram)
    series: dict[tuple[str, str, str, int], Histogram] = {}
    for *key, histogram in connection.execute(query.where(column.period > hour_of(now_ms()) - MS_PER_DAY)):
        merge(series.setdefault((key[0], key[1], key[2], key[3]), {}), read_histogram(histogram))
    for (metric, method, path, status), histogram in sorted(series.items()):
        labels = {"metric": metric, "method": method, "path": path, "status": str(status)}
        yield Number(_MEASURED.name, labels, sum(histogram.values()))
        for share, name in _QUANTILES:
            yield Number(_LATENCY.name, {**labels, "quantile": name}, (percentile(histogram, share) or 0) / _US)
