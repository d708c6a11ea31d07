"""telemetry_errors: failures, deduplicated by fingerprint."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection

from calos_telemetry.contract.events import ErrorEvent
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.store.tables import errors
from calos_telemetry.store.upserts import How, add_up

_HOW: dict[str, How] = {
    "occurrence_count": "add",
    "first_seen_at": "least",
    "last_seen_at": "greatest",
    "revision": "replace",
}


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's failures to ``telemetry_errors``; message and stack stay those of the first occurrence."""
    rows: dict[str, dict[str, Any]] = {}
    for at, error in sorted(batch.of(ErrorEvent), key=lambda pair: pair[0]):
        mark = fingerprint(error)
        row = rows.get(mark)
        if row is None:
            rows[mark] = _first(batch, mark, at, error)
        else:
            row["occurrence_count"] += 1
            row["last_seen_at"] = at
    add_up(connection, errors, list(rows.values()), _HOW)


def fingerprint(error: ErrorEvent) -> str:
    """Return what tells failures apart: type, class, innermost frame and template, hashed to 16 hex digits."""
    frames = error.stack.split("\n")[1:2]
    parts = (error.category, error.name, *frames, error.path or "")
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:16]


def _first(batch: Batch, mark: str, at: int, error: ErrorEvent) -> dict[str, Any]:
    return {
        "install_id": batch.install_id,
        "fingerprint": mark,
        "type": error.category,
        "name": error.name,
        "message": error.message,
        "stack": error.stack,
        "path": error.path,
        "method": error.method,
        "status_code": error.status,
        "occurrence_count": 1,
        "first_seen_at": at,
        "last_seen_at": at,
        "revision": batch.revision,
    }
