"""Static files: one template for all of them, the style ``static``, and how to leave them out, in every framework."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import flask
import pytest
import quart
from litestar import Litestar
from litestar.static_files import create_static_files_router
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.middleware.exclusion import HEALTH
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.sdk.middleware.litestar import init_litestar
from calos_telemetry.sdk.middleware.quart import init_quart

from ..conftest import HOST, Stored

Get = Callable[[str], int]
"""Ask for a path; the status of the answer."""


def of_starlette(telemetry: Telemetry, folder: Path, exclude: Sequence[str]) -> Get:
    app = Starlette(routes=[Mount("/static", StaticFiles(directory=folder))])
    client = TestClient(TelemetryMiddleware(app, telemetry, exclude=exclude), base_url=f"http://{HOST}")
    return lambda path: client.get(path).status_code


def of_litestar(telemetry: Telemetry, folder: Path, exclude: Sequence[str]) -> Get:
    app = Litestar([create_static_files_router("/static", [folder])], logging_config=None)
    init_litestar(app, telemetry, exclude)
    client = TestClient(cast("Any", app), base_url=f"http://{HOST}")
    return lambda path: client.get(path).status_code


def of_quart(telemetry: Telemetry, folder: Path, exclude: Sequence[str]) -> Get:
    app = quart.Quart(__name__, static_folder=str(folder), static_url_path="/static")
    init_quart(app, telemetry, exclude)

    async def get(path: str) -> int:
        return (await app.test_client().get(path, headers={"host": HOST})).status_code

    return lambda path: asyncio.run(get(path))


def of_flask(telemetry: Telemetry, folder: Path, exclude: Sequence[str]) -> Get:
    app = flask.Flask(__name__, static_folder=str(folder), static_url_path="/static")
    init_flask(app, telemetry, exclude)
    client = app.test_client()
    return lambda path: client.get(path, base_url=f"http://{HOST}", buffered=True).status_code


@pytest.mark.parametrize("make", [of_starlette, of_litestar, of_quart, of_flask])
@pytest.mark.parametrize("exclude", [HEALTH, (*HEALTH, "/static/")])
def test_static_files_have_one_template_and_their_style(
    telemetry: Telemetry, stored: Stored, tmp_path: Path, make: Callable[..., Get], exclude: Sequence[str]
) -> None:
    """Whatever a file is called, HTML too, its template does not tell; with ``/static/`` excluded nothing is recorded."""
    folder = tmp_path / "files" / "of"
    folder.mkdir(parents=True)
    for name in ("bob.css", "bob", "bob.html"):
        (folder / name).write_bytes(bytes(100_000))
    get = make(telemetry, folder.parent, exclude)
    assert [get(f"/static/of/{name}") for name in ("bob.css", "bob", "bob.html")] == [200] * 3
    events = stored()
    assert len(events) == (0 if "/static/" in exclude else 3)
    assert {event["style"] for event in events} <= {"static"}
    assert {event["path"] for event in events} <= {"/static/:id", "/static"}
    assert {event["response_bytes"] for event in events} <= {100_000}
    assert not any("disconnected" in event for event in events)
