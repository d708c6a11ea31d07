"""telemetry_features: how often each feature was used, first and last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from calos_telemetry.contract.events import FeatureUsage
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


class Uses(NamedTuple):
    """Uses of one feature within one hour: how many, the first and the last (unix ms)."""

    feature: str
    times: int
    first: int
    last: int


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's uses to ``telemetry_features``."""
    used = list(uses(batch))
    overflow = _overflow(connection, batch.install_id, {some.feature for some in used})
    found: dict[str, list[Uses]] = defaultdict(list)
    for some in used:
        found[OTHER if some.feature in overflow else some.feature].append(some)
    rows = [
        {
            "install_id": batch.install_id,
            "feature": feature,
            "usage_count": sum(some.times for some in every),
            "first_used_at": min(some.first for some in every),
            "last_used_at": max(some.last for some in every),
            "revision": batch.revision,
        }
        for feature, every in found.items()
    ]
    add_up(connection, features, rows, _HOW)


def uses(batch: Batch) -> Iterator[Uses]:
    """Yield the uses of features: reported by the application, or inferred from a request's route."""
    for at, usage in batch.of(FeatureUsage):
        yield Uses(usage.feature, 1, at, at)
    for like, requests in batch.alike:
        if like.feature is not None:
            times = [asked.at for asked in requests]
            yield Uses(like.feature, len(times), min(times), max(times))


def _overflow(connection: Connection, install_id: str, arrived: Iterable[str]) -> set[str]:
    """Return the names that the table has no room for."""
    own = features.c.install_id == install_id
    there = connection.scalar(select(func.count()).select_from(features).where(own)) or 0
    names = set(arrived)
    if there + len(names) <= MAX_FEATURES:
        return set()
    return beyond(names, set(connection.scalars(select(features.c.feature).where(own))), MAX_FEATURES)
