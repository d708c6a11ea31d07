"""The mission's own interface, word for word: the summary and the flush, over HTTP, of a shop in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from starlette.testclient import TestClient

from calos_telemetry import LicenseMiddleware, Settings, Telemetry, TelemetryMiddleware, track_error, track_feature
from calos_telemetry.sdk.record import facts

HOST = "shop.example.com"
TOKEN = {"Authorization": "Bearer hunter2"}
MS = 1_000_000


class Watch:
    """A stopwatch that goes as fast as the test says."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    monkeypatch.setattr(facts, "perf_counter_ns", made)
    return made


@pytest.fixture
def shop(tmp_path: Path, watch: Watch) -> Iterator[TestClient]:
    """Run a shop that integrates us as README says, with an operator's token."""
    telemetry = Telemetry(
        Settings(
            home=tmp_path, public_host=HOST, server="http://127.0.0.1:9", operator_token=TOKEN["Authorization"][7:]
        )
    )
    app = FastAPI()
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)

    @app.post("/api/pos/{number}")
    async def sale(request: Request, number: int, response: Response) -> None:
        watch.now += (100 if number < 45 else 330) * MS
        await track_feature(request, "pos_transaction", {"status": "completed", "amount": 12.5})
        if number >= 45:
            response.status_code = 402

    @app.get("/api/transcripts/{number}")
    def transcript(request: Request, number: int) -> None:
        watch.now += 7 * MS
        track_feature(request, "transcript_view")
        if number >= 8:
            track_error(request, sqlite3.OperationalError(f"database is locked for {number}"), {"operation": "read"})

    app.mount("/api/telemetry", telemetry.viewer())
    yield TestClient(app, base_url=f"http://{HOST}")
    telemetry.close()
    assert not telemetry.failures


KEYS = ("period", "featureUsage", "performance", "errors", "apiStats", "totalEvents")


def as_the_mission_wrote_it(answer: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the summary tells beyond the mission's keys."""
    return {**answer, "summary": {key: answer["summary"][key] for key in KEYS}}


def test_the_summary_is_the_missions_document(shop: TestClient) -> None:
    """After 50 sales and 10 transcripts, 5 of them declined and 2 failing, the whole document is as the mission wrote it."""
    for number in range(50):
        shop.post(f"/api/pos/{number}")
    for number in range(10):
        shop.get(f"/api/transcripts/{number}")
    flushed = shop.post("/api/telemetry/flush", headers=TOKEN)
    assert flushed.status_code == 200
    assert flushed.json() == {"success": True, "message": "Telemetry flushed", "events": 50 * 2 + 10 * 2 + 2}
    summary = shop.get("/api/telemetry/summary?hours=24", headers=TOKEN)
    assert summary.status_code == 200
    assert as_the_mission_wrote_it(summary.json()) == {
        "success": True,
        "summary": {
            "period": "24h",
            "featureUsage": [{"feature": "pos_transaction", "count": 50}, {"feature": "transcript_view", "count": 10}],
            "performance": [
                {"path": "/api/pos/:id", "avg_duration": 123, "count": 50},
                {"path": "/api/transcripts/:id", "avg_duration": 7, "count": 10},
            ],
            "errors": [{"error_type": "database", "count": 2}],
            "apiStats": [
                {"method": "POST", "status_code": 200, "count": 45, "avg_duration": 100},
                {"method": "GET", "status_code": 200, "count": 10, "avg_duration": 7},
                {"method": "POST", "status_code": 402, "count": 5, "avg_duration": 330},
            ],
            "totalEvents": 60,
        },
    }


def test_an_empty_summary_has_the_same_shape(shop: TestClient) -> None:
    """Before anything happened every list is there and empty."""
    empty: dict[str, Any] = {"featureUsage": [], "performance": [], "errors": [], "apiStats": [], "totalEvents": 0}
    answer = shop.get("/api/telemetry/summary?hours=24", headers=TOKEN)
    assert as_the_mission_wrote_it(answer.json()) == {"success": True, "summary": {"period": "24h", **empty}}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/telemetry/summary?hours=24"), ("POST", "/api/telemetry/flush")]
)
def test_a_visitor_reads_and_drives_nothing(shop: TestClient, method: str, path: str) -> None:
    """Without the operator's token both are refused, and nothing is moved."""
    shop.post("/api/pos/1")
    answer = shop.request(method, path)
    assert answer.status_code == 401
    assert answer.json()["success"] is False
    assert "summary" not in answer.json()
    assert shop.post("/api/telemetry/flush", headers=TOKEN).json()["events"] == 2


def test_every_answer_says_the_license(shop: TestClient) -> None:
    """The license middleware runs first: its headers are on every answer, also on refusals."""
    for path in ("/api/transcripts/1", "/nowhere", "/api/telemetry/summary"):
        headers = shop.get(path).headers
        assert (headers["X-License-Tier"], headers["X-License-Valid"]) == ("community", "true")
