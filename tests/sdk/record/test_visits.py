"""Sessions where the application names none: told apart for a day, by nothing that is kept."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.record import visits as visits_module
from calos_telemetry.sdk.record.visits import Visits
from calos_telemetry.testing import capture_events, frozen_clock
from calos_telemetry.testing.canaries import contents_of

VISITOR = "93.184.216.34"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def visits(tmp_path: Path) -> Visits:
    return Visits(tmp_path / "days")


def test_visitors_are_told_apart_for_a_day(visits: Visits, tmp_path: Path) -> None:
    """The same visitor has one hash in all processes, others have others; on the next day all is forgotten."""
    with frozen_clock(NOON) as clock:
        visits.prepare()
        other = Visits(tmp_path / "days")
        other.prepare()
        first = visits.session(VISITOR, FIREFOX, now_ms())
        assert first is not None
        assert re.fullmatch("[0-9a-f]{16}", first)
        assert visits.session(VISITOR, FIREFOX, now_ms()) == other.session(VISITOR, FIREFOX, now_ms()) == first
        assert visits.session(VISITOR, "curl/8", now_ms()) != first
        assert visits.session("93.184.216.35", FIREFOX, now_ms()) != first
        clock.move(days=1)
        assert visits.session(VISITOR, FIREFOX, now_ms()) is None
        visits.prepare()
        assert visits.session(VISITOR, FIREFOX, now_ms()) not in (None, first)
        clock.move(days=2)
        visits.prepare()
        assert [path.name for path in (tmp_path / "days").iterdir()] == ["2026-11-28"]


def test_the_key_of_tomorrow_is_there_before_midnight(visits: Visits) -> None:
    """A request in the first second of a day has a session, too."""
    with frozen_clock(NOON.replace(hour=23, minute=30)) as clock:
        visits.prepare()
        clock.move(hours=1)
        assert visits.session(VISITOR, FIREFOX, now_ms()) is not None


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.7", "::1", "fe80::1", "testclient", "", "unix:"]
)
def test_a_proxys_address_is_nobody(visits: Visits, address: str) -> None:
    """What all visitors share tells nobody apart."""
    visits.prepare()
    assert visits.session(address, FIREFOX, now_ms()) is None


def test_without_a_key_nothing_is_read(visits: Visits, tmp_path: Path) -> None:
    """Until the background has the key of the day a request has no session and touches no file."""
    assert visits.session(VISITOR, FIREFOX, now_ms()) is None
    assert not (tmp_path / "days").exists()


def test_what_is_remembered_is_bounded(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million visitors cost no more memory than some thousand, and each keeps the same hash."""
    monkeypatch.setattr(visits_module, "_REMEMBERED", 10)
    visits.prepare()
    first = [visits.session(VISITOR, f"agent {number}", now_ms()) for number in range(50)]
    assert [visits.session(VISITOR, f"agent {number}", now_ms()) for number in range(50)] == first
    assert all(len(known) <= 10 for known in visits._days.values())


def shop(telemetry: Telemetry, address: str) -> TestClient:
    def home(request: Request) -> PlainTextResponse:
        request.state.session_id = request.query_params.get("session")
        return PlainTextResponse("hello")

    app = TelemetryMiddleware(Starlette(routes=[Route("/", home)]), telemetry)
    return TestClient(
        app, base_url="https://shop.example.com", client=(address, 40_000), headers={"User-Agent": FIREFOX}
    )


def test_requests_of_a_visitor_are_a_session(telemetry: Telemetry) -> None:
    """In an application: the visitor's requests share a hash, another's have another; what the application names wins,
    who asked for privacy has none, and the address is in no file."""
    assert telemetry.pipeline is not None
    assert telemetry.pipeline._visits is not None
    telemetry.pipeline._visits.prepare()
    one, other = shop(telemetry, VISITOR), shop(telemetry, "93.184.216.35")
    with capture_events(telemetry) as captured:
        for client in (one, one, other):
            client.get("/")
        one.get("/", params={"session": "s-1"})
        one.get("/", headers={"Sec-GPC": "1"})
        shop(telemetry, "10.0.0.1").get("/")
        sessions = [event.get("session") for event in captured.of("api_request")]

    assert sessions[0] == sessions[1]
    assert len({*sessions[:4]}) == 3
    assert None not in sessions[:4]
    assert sessions[4:] == [None, None]
    found = contents_of(telemetry.settings.home)
    assert not [name for name, content in found.items() if VISITOR.encode() in content]
