"""A policy file in a running application: what it names is in no file and no table from then on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Settings, Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.policy.watch import FilePolicy

from .conftest import HOST

POLICY = """
[drop]
routes = ["/quagga/*"]
features = ["okapi"]
countries = ["CH"]
fields = ["browser"]
error_texts = true
"""
NAMED = (b"quagga", b"okapi", b"axolotl", b"Firefox", b'"CH"')
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    made = Telemetry(
        Settings(home=tmp_path / "home", public_host=HOST, server="http://127.0.0.1:9", country_header="CF-IPCountry")
    )
    yield made
    made.close()


def answered(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def failing(_: Request) -> PlainTextResponse:
    raise RuntimeError("axolotl went missing in the stable")


def use(telemetry: Telemetry) -> None:
    """Visit a page that is named in the policy, one that is not, one that fails; use a feature."""
    app = Starlette(
        routes=[Route("/quagga/list", answered), Route("/open", answered), Route("/fails", failing)],
    )
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    client = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)
    for path in ("/quagga/list", "/open", "/fails"):
        client.get(path, headers={"User-Agent": FIREFOX, "CF-IPCountry": "CH"})
    telemetry.track_feature(None, "okapi", {"plan": "gold"})


def on_the_disk(telemetry: Telemetry) -> set[bytes]:
    """Return which of the names are anywhere in the state directory, but for the policy file."""
    files = [file for file in telemetry.settings.home.rglob("*") if file.is_file() and file.name != "policy.toml"]
    content = b"".join(file.read_bytes() for file in files)
    return {name for name in NAMED if name in content}


def write_policy(telemetry: Telemetry, text: str = POLICY) -> FilePolicy:
    assert telemetry.pipeline is not None
    (telemetry.settings.home / "policy.toml").write_text(text)
    return telemetry.pipeline.policy.file


def look(telemetry: Telemetry) -> None:
    """Do what the background thread does every second."""
    (job,) = [job for job in telemetry._schedule._jobs if job.name == "read the policy file"]
    job.work()


def test_what_is_named_never_reaches_the_disk(telemetry: Telemetry) -> None:
    """Neither a spool file nor the database holds a byte of it, and every request is counted all the same."""
    write_policy(telemetry)
    look(telemetry)
    use(telemetry)
    assert on_the_disk(telemetry) == set()
    telemetry.flush()
    assert on_the_disk(telemetry) == set()
    summary = telemetry.summary()
    assert {row["path"]: row["count"] for row in summary["performance"]} == {
        "(withheld)": 1,
        "/open": 1,
        "/fails": 1,
    }
    assert [row["feature"] for row in summary["featureUsage"]] == ["(withheld)"]


def test_without_the_file_all_of_it_is_there(telemetry: Telemetry) -> None:
    """The test above would notice: without a policy every name is found."""
    use(telemetry)
    telemetry.flush()
    assert on_the_disk(telemetry) >= set(NAMED)


def test_what_was_spooled_before_the_file_came_is_withheld_by_the_drain(telemetry: Telemetry) -> None:
    """Between request and drain the operator wrote the file: the database gets none of it."""
    use(telemetry)
    write_policy(telemetry)
    telemetry.flush()
    database = (telemetry.settings.home / "telemetry.db").read_bytes()
    assert [name for name in NAMED if name in database] == []


def test_a_broken_file_is_told_and_the_application_goes_on(telemetry: Telemetry) -> None:
    """The application answers, as little as possible is recorded, and the note says what to correct."""
    file = write_policy(telemetry, "[dorp]")
    look(telemetry)
    use(telemetry)
    assert on_the_disk(telemetry) == set()
    assert file.note is not None
    assert "did you mean 'drop'?" in file.note
    write_policy(telemetry, "")
    look(telemetry)
    use(telemetry)
    assert on_the_disk(telemetry) >= {b"quagga", b"okapi"}


def test_the_thread_that_notices_changes_runs_where_nothing_is_recorded(telemetry: Telemetry) -> None:
    """An install whose file takes everything away still looks at the file."""
    file = write_policy(telemetry, "[drop")
    look(telemetry)
    assert telemetry.pipeline is not None
    assert file.restrictions is not None
    assert telemetry.pipeline.policy.verifies_alone(HOST)
