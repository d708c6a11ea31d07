"""telemetry_aggregates: everything that is counted, as (date, counter, key) → value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, date_of
from calos_telemetry.contract.events import SLOW_REQUEST_US, ApiRequest, ErrorEvent, FeatureUsage, Performance
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.features import uses
from calos_telemetry.sdk.rollup.limits import MAX_KEYS, OTHER, beyond
from calos_telemetry.store.tables import aggregates
from calos_telemetry.store.upserts import How, add_up

_HOW: dict[str, How] = {"value": "add", "revision": "replace"}
_MAX_KEY = 200
_LOOKUP = 400  # dates per query: SQLite allows 999 parameters where it is old
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday

Counted = tuple[int, str, str, int]
"""When (unix ms), counter, key, how many."""

Sums = Mapping[tuple[int, str, str], int]
"""Day (since 1970-01-01), counter and key → how many, which may be less than none."""


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's counts to ``telemetry_aggregates``."""
    sums: Counter[tuple[int, str, str]] = Counter()
    for at, counter, key, value in counted(batch):
        sums[at // MS_PER_DAY, counter, key[:_MAX_KEY]] += value
    add(connection, batch, sums)


def add(connection: Connection, batch: Batch, sums: Sums) -> None:
    """Add ``sums`` to what is counted already.

    A count that was taken back stays as 0, so that the next report tells it.
    """
    wanted = {(date_of(day * MS_PER_DAY), counter, key): value for (day, counter, key), value in sums.items() if value}
    rows = [
        {
            "install_id": batch.install_id,
            "date": date,
            "counter": counter,
            "key": key,
            "value": value,
            "revision": batch.revision,
        }
        for (date, counter, key), value in _bounded(connection, batch.install_id, wanted).items()
    ]
    add_up(connection, aggregates, rows, _HOW)


def _bounded(
    connection: Connection, install_id: str, sums: Mapping[tuple[str, str, str], int]
) -> Mapping[tuple[str, str, str], int]:
    """Put keys that a counter's day has no room for together."""
    arrived: dict[tuple[str, str], set[str]] = {}
    for date, counter, key in sums:
        arrived.setdefault((date, counter), set()).add(key)
    there = _keys_there(connection, install_id, {date for date, _ in arrived})
    full = {which: keys for which, keys in arrived.items() if there.get(which, 0) + len(keys) > MAX_KEYS}
    if not full:
        return sums
    over = {which: beyond(keys, _known(connection, install_id, *which), MAX_KEYS) for which, keys in full.items()}
    bounded: Counter[tuple[str, str, str]] = Counter()
    for (date, counter, key), value in sums.items():
        if key in over.get((date, counter), ()):
            bounded[date, counter, OTHER] += value
            bounded[date, "overflow", counter] += max(value, 0)
        else:
            bounded[date, counter, key] += value
    return bounded


def _keys_there(connection: Connection, install_id: str, dates: set[str]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    listed = sorted(dates)
    for start in range(0, len(listed), _LOOKUP):
        column = aggregates.c
        query = select(column.date, column.counter, func.count()).group_by(column.date, column.counter)
        some = column.date.in_(listed[start : start + _LOOKUP])
        for date, counter, keys in connection.execute(query.where(column.install_id == install_id, some)):
            found[date, counter] = keys
    return found


def _known(connection: Connection, install_id: str, date: str, counter: str) -> set[str]:
    column = aggregates.c
    mine = column.install_id == install_id, column.date == date, column.counter == counter
    return set(connection.scalars(select(column.key).where(*mine)))


def counted(batch: Batch) -> Iterator[Counted]:
    """Yield everything in the batch that is counted; the counters are declared in ``contract.counters``."""
    yield from _of_requests(batch)
    for at, feature in uses(batch):
        yield at, "feature", feature, 1
    for at, usage in batch.of(FeatureUsage):
        yield from _of_choices(at, usage)
    for at, error in batch.of(ErrorEvent):
        yield at, "error", error.category, 1
    for at, operation in batch.of(Performance):
        yield from _of_operation(at, operation)


def _of_requests(batch: Batch) -> Iterator[Counted]:
    """Count requests that are alike together: a batch has thousands of them and some dozens of kinds."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for at, request in batch.of(ApiRequest):
        kind = (
            at // MS_PER_HOUR,
            request.status // 100,
            request.method,
            request.style,
            request.country,
            request.browser,
            request.os,
        )
        sums = alike.setdefault(kind, [0, 0, 0, 0, 0])
        sums[0] += 1
        sums[1] += request.request_bytes
        sums[2] += request.response_bytes
        sums[3] += request.database_us
        sums[4] += request.database_queries
        if request.duration_us is not None and request.duration_us >= SLOW_REQUEST_US:
            yield at, "slow_request", request.path, 1
    for (hour, status, method, style, country, browser, system), (requests, *sizes) in alike.items():
        at = hour * MS_PER_HOUR
        yield at, "requests", f"{status}xx", requests
        yield at, "method", method, requests
        yield at, "hour", f"{hour % 24:02}", requests
        yield at, "weekday", str((at // MS_PER_DAY + _FIRST_WEEKDAY) % 7 + 1), requests
        yield at, "style", style, requests
        for counter, size in zip(("bytes_in", "bytes_out", "database_us", "database_queries"), sizes, strict=True):
            yield at, counter, "", size
        for counter, key in (("country", country), ("browser", browser), ("os", system)):
            if key is not None:
                yield at, counter, key, requests


def _of_operation(at: int, operation: Performance) -> Iterator[Counted]:
    yield at, "slow_query", operation.name, operation.slow
    if operation.metric == "transaction":
        if operation.success:
            yield at, "transaction", operation.name, 1
        else:
            yield at, "failed_transaction", f"{operation.name}:{operation.error or 'other'}", 1


def _of_choices(at: int, usage: FeatureUsage) -> Iterator[Counted]:
    """Yield the choices in a feature's metadata: texts that were declared with closed values, and flags."""
    for name, value in usage.metadata.items():
        if isinstance(value, bool):
            yield at, "choice", f"{usage.feature}.{name}={str(value).lower()}", 1
        elif isinstance(value, str) and not value.startswith("["):
            yield at, "choice", f"{usage.feature}.{name}={value}", 1
