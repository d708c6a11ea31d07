"""A small fleet, stored the way the intake stores it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Engine

from calos_telemetry.clock import from_iso
from calos_telemetry.contract.histogram import bucket_of
from calos_telemetry.store import tables
from calos_telemetry.store.database import writing
from calos_telemetry.store.upserts import keep_newest

NOW = from_iso("2026-11-25T12:00:00Z")
ONE, TWO = "1" * 32, "2" * 32


def aggregate(install: str, date: str, counter: str, key: str, value: int) -> dict[str, Any]:
    row = {"date": date, "counter": counter, "key": key, "value": value}
    return {"install_id": install, "revision": 1, **row}


def route(install: str, day: str, path: str, durations_ms: list[int], **changes: Any) -> dict[str, Any]:
    micros = [duration * 1_000 for duration in durations_ms]
    histogram: dict[int, int] = {}
    for value in micros:
        histogram[bucket_of(value)] = histogram.get(bucket_of(value), 0) + 1
    row = {
        "install_id": install, "revision": 1, "period": from_iso(day + "T00:00:00Z"), "metric": "api_request",
        "method": "GET", "path": path, "status": 200, "count": len(micros), "total": sum(micros), "max": max(micros),
        "histogram": msgspec.json.encode(histogram).decode(),
    }  # fmt: skip
    return row | changes


def failure(install: str, fingerprint: str, times: int, **changes: Any) -> dict[str, Any]:
    row = {
        "install_id": install, "revision": 1, "fingerprint": fingerprint * 16, "type": "database", "name": "Locked",
        "message": "database is locked", "stack": "", "path": None, "method": None, "status_code": None,
        "occurrence_count": times, "first_seen_at": NOW - 5_000, "last_seen_at": NOW - 1_000,
    }  # fmt: skip
    return row | changes


def store(engine: Engine, *, aggregates: Any = (), performance: Any = (), errors: Any = ()) -> None:
    with writing(engine) as connection:
        keep_newest(connection, tables.aggregates, list(aggregates))
        keep_newest(connection, tables.performance, list(performance))
        keep_newest(connection, tables.errors, list(errors))
