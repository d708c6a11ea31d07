"""telemetry_features: how often each feature was used, first and last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from calos_telemetry.contract.events import ApiRequest, FeatureUsage
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.limits import MAX_FEATURES, OTHER, beyond
from calos_telemetry.store.tables import features
from calos_telemetry.store.upserts import How, add_up

_HOW: dict[str, How] = {
    "usage_count": "add",
    "first_used_at": "least",
    "last_used_at": "greatest",
    "revision": "replace",
}


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's uses to ``telemetry_features``."""
    used = list(uses(batch))
    overflow = _overflow(connection, batch.install_id, {feature for _, feature in used})
    rows: dict[str, dict[str, Any]] = {}
    for at, name in used:
        feature = OTHER if name in overflow else name
        row = rows.get(feature)
        if row is None:
            rows[feature] = {
                "install_id": batch.install_id,
                "feature": feature,
                "usage_count": 1,
                "first_used_at": at,
                "last_used_at": at,
                "revision": batch.revision,
            }
        else:
            row["usage_count"] += 1
            row["first_used_at"] = min(row["first_used_at"], at)
            row["last_used_at"] = max(row["last_used_at"], at)
    add_up(connection, features, list(rows.values()), _HOW)


def uses(batch: Batch) -> Iterator[tuple[int, str]]:
    """Yield ``(unix ms, feature)`` for each use: reported by the application, or inferred from a request's route."""
    for at, usage in batch.of(FeatureUsage):
        yield at, usage.feature
    for at, request in batch.of(ApiRequest):
        if request.feature is not None:
            yield at, request.feature


def _overflow(connection: Connection, install_id: str, arrived: Iterable[str]) -> set[str]:
    """Return the names that the table has no room for."""
    own = features.c.install_id == install_id
    there = connection.scalar(select(func.count()).select_from(features).where(own)) or 0
    names = set(arrived)
    if there + len(names) <= MAX_FEATURES:
        return set()
    return beyond(names, set(connection.scalars(select(features.c.feature).where(own))), MAX_FEATURES)
