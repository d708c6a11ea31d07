"""What an integrator's test sees of the events its application records."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Settings, Telemetry, TelemetryMiddleware, track_feature
from calos_telemetry.errors import StateError
from calos_telemetry.testing import capture_events


def shop(telemetry: Telemetry) -> TestClient:
    """Return a client of an application with one route that uses a feature."""

    def sell(request: Request) -> PlainTextResponse:
        track_feature(request, "pos_transaction", {"status": "completed"})
        return PlainTextResponse("sold")

    app = Starlette(routes=[Route("/api/pos/{id}", sell)])
    return TestClient(TelemetryMiddleware(app, telemetry), base_url="https://shop.example.com")


def test_events_of_the_block_are_told_as_they_are_stored(telemetry: Telemetry) -> None:
    """Only what is recorded inside the block, with the obfuscated fields and in order."""
    client = shop(telemetry)
    client.get("/api/pos/41")
    with capture_events() as captured:
        assert captured.all() == []
        client.get("/api/pos/42?card=4111111111111111")
        (request,) = captured.of("api_request")
        assert (request["method"], request["path"], request["status"]) == ("GET", "/api/pos/:id", 200)
        assert captured.of("feature_usage") == [{"feature": "pos_transaction", "metadata": {"status": "completed"}}]
        client.get("/api/pos/43")
        assert [event.type for event in captured.all()].count("api_request") == 2
        assert all(event.at > 0 for event in captured.all())


def test_telemetry_that_is_off_says_so(tmp_path: Path) -> None:
    """An install that cannot record ends the test with the reason, instead of an empty list."""
    (tmp_path / "home").write_text("no directory")
    off = Telemetry(Settings(home=tmp_path / "home"))
    with pytest.raises(StateError, match=r"telemetry is off: .*home"), capture_events(off):
        pass
