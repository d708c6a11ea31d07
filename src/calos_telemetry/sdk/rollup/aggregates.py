"""telemetry_aggregates: everything that is counted, as (date, counter, key) → value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from operator import attrgetter

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, date_of
from calos_telemetry.contract.events import CLIENT, SLOW_REQUEST_US, ApiRequest, ErrorEvent, FeatureUsage, Performance
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.features import uses
from calos_telemetry.sdk.rollup.limits import MAX_KEYS, OTHER, beyond
from calos_telemetry.store.tables import aggregates
from calos_telemetry.store.upserts import How, add_up

_HOW: dict[str, How] = {"value": "add", "revision": "replace"}
_MAX_KEY = 200
_LOOKUP = 400  # dates per query: SQLite allows 999 parameters where it is old
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday
_SIZES = (
    ("bytes_in", attrgetter("request_bytes")),
    ("bytes_out", attrgetter("response_bytes")),
    ("database_us", attrgetter("database_us")),
    ("database_queries", attrgetter("database_queries")),
)

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
    for some in uses(batch):
        yield some.first, "feature", some.feature, some.times
    for at, usage in batch.of(FeatureUsage):
        yield from _of_choices(at, usage)
    for at, error in batch.of(ErrorEvent):
        yield at, "error", error.category, 1
    for at, operation in batch.of(Performance):
        yield from _of_operation(at, operation)


def _of_requests(batch: Batch) -> Iterator[Counted]:
    for like, requests in batch.alike:
        at, number = requests[0].at, len(requests)
        yield at, "requests", f"{like.status // 100}xx", number
        yield at, "method", like.method, number
        yield at, "hour", f"{at // MS_PER_HOUR % 24:02}", number
        yield at, "weekday", str((at // MS_PER_DAY + _FIRST_WEEKDAY) % 7 + 1), number
        yield at, "style", like.style, number
        for counter, size_of in _SIZES:
            yield at, counter, "", sum(size_of(asked.event) for asked in requests)
        yield at, "slow_request", like.path, sum(_is_slow(asked.event) for asked in requests)
        yield at, "delivery", "streamed", sum(asked.event.streamed_us is not None for asked in requests)
        yield at, "delivery", "disconnected", sum(asked.event.disconnected for asked in requests)
    for (day, client), number in batch.clients.items():
        for counter, key in zip(CLIENT, client, strict=True):
            if key is not None:
                yield day * MS_PER_DAY, counter, key, number


def _is_slow(request: ApiRequest) -> bool:
    return request.duration_us is not None and request.duration_us >= SLOW_REQUEST_US


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
