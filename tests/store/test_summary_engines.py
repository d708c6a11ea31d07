"""The summary gives the same answer on each engine."""

from __future__ import annotations

from sqlalchemy import Engine

from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import writing
from calos_telemetry.store.summary import summarise

NOON = 1_764_072_000_000


def test_the_summary_is_the_same_on_each_engine(install_engine: Engine) -> None:
    """Features, routes, failures and answers of the window, with averages in ms; what lies before it is left out."""
    slow = ApiRequest(method="GET", path="/a/:id", status=200, duration_us=30_000, feature="pos")
    quick = ApiRequest(method="GET", path="/a/:id", status=200, duration_us=10_000, feature="pos")
    other = ApiRequest(method="POST", path="/b", status=500)
    failure = ErrorEvent(category="database", name="OperationalError")
    seen: list[Event] = [slow, quick, other, failure, FeatureUsage(feature="theme")]
    batch = [Stored(f"{n:032x}", NOON + n, event) for n, event in enumerate(seen)]
    old = Stored("f" * 32, NOON - 3_600_000, slow)
    with writing(install_engine) as connection:
        store_events(connection, "ab" * 16, [*batch, old])
    with install_engine.connect() as connection:
        summary = summarise(connection, now=NOON + 10, hours=1)
    assert summary["featureUsage"] == [{"feature": "pos", "count": 2}, {"feature": "theme", "count": 1}]
    assert summary["performance"] == [
        {"path": "/a/:id", "avg_duration": 20.0, "count": 2},
        {"path": "/b", "avg_duration": None, "count": 1},
    ]
    assert summary["errors"] == [{"error_type": "database", "count": 1}]
    assert summary["apiStats"] == [
        {"method": "GET", "status_code": 200, "count": 2, "avg_duration": 20.0},
        {"method": "POST", "status_code": 500, "count": 1, "avg_duration": None},
    ]
    assert summary["totalEvents"] == 3
