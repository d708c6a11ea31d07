"""The operator's summary: which events it counts, in which order, and over which hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from calos_telemetry import Settings
from calos_telemetry.clock import MS_PER_HOUR
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from calos_telemetry.store.summary import MAX_HOURS, summarise

NOW = 1_800_000_000_000
Summarise = Callable[[int], dict[str, Any]]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    made = Install(Settings(home=tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def keep(install: Install) -> Callable[..., None]:
    """Store events at times before now, in ms."""
    number = iter(range(1_000))

    def store(*events: tuple[int, Event]) -> None:
        rows = [Stored(f"{next(number):032x}", NOW - before, event) for before, event in events]
        with writing(install.engine) as connection:
            store_events(connection, install.identity.install_id, rows)

    return store


@pytest.fixture
def summary(install: Install) -> Summarise:
    def read(hours: int) -> dict[str, Any]:
        with install.engine.connect() as connection:
            return summarise(connection, install.identity.install_id, now=NOW, hours=hours)

    return read


def request(path: str = "/", status: int = 200, ms: float = 1.0, feature: str | None = None) -> ApiRequest:
    return ApiRequest(method="GET", path=path, status=status, duration_us=int(ms * 1_000), feature=feature)


def error(category: str) -> ErrorEvent:
    return ErrorEvent(category=category, name="E", message="m", stack="s")


def test_uses_are_counted_however_they_were_reported(keep: Callable[..., None], summary: Summarise) -> None:
    """A use that the route tells and one reported by hand are uses alike; the total counts uses, not records."""
    keep((1, request(feature="pos_transaction")), (2, FeatureUsage(feature="pos_transaction")), (3, request()))
    found = summary(1)
    assert found["featureUsage"] == [{"feature": "pos_transaction", "count": 2}]
    assert found["totalEvents"] == 2


def test_equal_counts_come_in_the_order_of_their_names(keep: Callable[..., None], summary: Summarise) -> None:
    """The most frequent comes first, and answers are the same each time they are asked for."""
    names = ["b", "a", "c", "c"]
    keep(*((number, FeatureUsage(feature=name)) for number, name in enumerate(names)))
    keep(*((number, request(f"/{name}")) for number, name in enumerate(names)))
    keep(*((number, error(name)) for number, name in enumerate(["network", "database", "timeout", "timeout"])))
    found = summary(1)
    assert [row["feature"] for row in found["featureUsage"]] == ["c", "a", "b"]
    assert [row["path"] for row in found["performance"]] == ["/c", "/a", "/b"]
    assert [row["error_type"] for row in found["errors"]] == ["timeout", "database", "network"]


def test_durations_are_averages_in_ms(keep: Callable[..., None], summary: Summarise) -> None:
    """Per route and per method and status, in milliseconds with a tenth; percentiles at most 1.6 % beside."""
    keep((1, request("/a", ms=1)), (2, request("/a", ms=2)), (3, request("/a", 404, ms=10.26)))
    found = summary(1)
    assert found["performance"] == [{"path": "/a", "avg_duration": 4.4, "count": 3}]
    assert found["routes"] == [{"path": "/a", "avg_duration": 4.4, "count": 3, "p50": 2.0, "p95": 10.4, "p99": 10.4}]
    assert found["apiStats"] == [
        {"method": "GET", "status_code": 200, "count": 2, "avg_duration": 1.5},
        {"method": "GET", "status_code": 404, "count": 1, "avg_duration": 10.3},
    ]


def test_the_window_ends_now_and_begins_after_its_hours(keep: Callable[..., None], summary: Summarise) -> None:
    """An event on the far edge is out, one of this very moment is in, one of the future is out."""
    edges = {"edge": MS_PER_HOUR, "inside": MS_PER_HOUR - 1, "now": 0, "future": -1}
    keep(*((before, FeatureUsage(feature=name)) for name, before in edges.items()))
    assert {row["feature"] for row in summary(1)["featureUsage"]} == {"inside", "now"}
    assert {row["feature"] for row in summary(2)["featureUsage"]} == {"edge", "inside", "now"}


@pytest.mark.parametrize("hours", [1, 24, MAX_HOURS])
def test_sensible_windows(summary: Summarise, hours: int) -> None:
    """From an hour to ten years."""
    assert summary(hours)["period"] == f"{hours}h"


@pytest.mark.parametrize("hours", [0, -1, MAX_HOURS + 1, 10**18])
def test_other_windows_are_refused_in_words(summary: Summarise, hours: int) -> None:
    """The sentence names what was given and what may be."""
    with pytest.raises(SettingsError, match=f"hours is {hours}: give a whole number from 1 to {MAX_HOURS}"):
        summary(hours)
