"""telemetry_aggregates: everything that is counted, as (date, counter, key) → value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Connection

from calos_telemetry.clock import date_of, to_datetime
from calos_telemetry.contract.events import SLOW_REQUEST_US, ApiRequest, ErrorEvent, FeatureUsage, Performance
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.features import uses
from calos_telemetry.store.tables import aggregates
from calos_telemetry.store.upserts import How, add_up

_HOW: dict[str, How] = {"value": "add", "revision": "replace"}
_MAX_KEY = 200

Counted = tuple[int, str, str, int]
"""When (unix ms), counter, key, how many."""


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's counts to ``telemetry_aggregates``."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for at, counter, key, value in counted(batch):
        sums[date_of(at), counter, key[:_MAX_KEY]] += value
    rows = [
        {
            "install_id": batch.install_id,
            "date": date,
            "counter": counter,
            "key": key,
            "value": value,
            "revision": batch.revision,
        }
        for (date, counter, key), value in sums.items()
        if value
    ]
    add_up(connection, aggregates, rows, _HOW)


def counted(batch: Batch) -> Iterator[Counted]:
    """Yield everything in the batch that is counted; the counters are declared in ``contract.counters``."""
    for at, request in batch.of(ApiRequest):
        yield from _of_request(at, request)
    for at, feature in uses(batch):
        yield at, "feature", feature, 1
    for at, usage in batch.of(FeatureUsage):
        yield from _of_choices(at, usage)
    for at, error in batch.of(ErrorEvent):
        yield at, "error", error.category, 1
    for at, operation in batch.of(Performance):
        yield from _of_operation(at, operation)


def _of_request(at: int, request: ApiRequest) -> Iterator[Counted]:
    yield at, "requests", f"{request.status // 100}xx", 1
    yield at, "method", request.method, 1
    yield at, "hour", f"{to_datetime(at).hour:02}", 1
    yield at, "style", request.style, 1
    yield at, "bytes_in", "", request.request_bytes
    yield at, "bytes_out", "", request.response_bytes
    for counter, key in (("country", request.country), ("browser", request.browser), ("os", request.os)):
        if key is not None:
            yield at, counter, key, 1
    yield at, "database_us", "", request.database_us
    yield at, "database_queries", "", request.database_queries
    if request.duration_us is not None and request.duration_us >= SLOW_REQUEST_US:
        yield at, "slow_request", request.path, 1


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
