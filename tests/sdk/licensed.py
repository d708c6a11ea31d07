"""Shops with a real license of each tier, behind each framework; and how they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from fastapi import Depends, FastAPI
from flask import Flask
from litestar import Litestar, get
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import LicenseMiddleware, Telemetry
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.sdk.middleware.litestar import init_litestar
from calos_telemetry.sdk.middleware.quart import init_quart
from calos_telemetry.sdk.requirements import Requirement

Make = Callable[..., Telemetry]
"""Make the telemetry of an install that holds a real key of a tier."""

Answer = tuple[int, dict[str, str], Any]
Ask = Callable[[str, str], Answer]
"""Ask for a path of a host: status, headers in lower case, JSON or text."""


def _client(app: Any) -> Ask:
    client = TestClient(app)

    def ask(path: str, host: str) -> Answer:
        answer = client.get(path, headers={"host": host})
        return answer.status_code, dict(answer.headers), _content(answer.headers["content-type"], answer)

    return ask


def _content(kind: str, answer: Any) -> Any:
    return answer.json() if kind.startswith("application/json") else answer.text


def starlette_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """Sync and async views, decorated."""

    @needs
    def view(_request: Request) -> Response:
        return PlainTextResponse("served")

    @needs
    async def view_async(_request: Request) -> Response:
        return PlainTextResponse("served")

    app = Starlette(routes=[Route("/sync", view), Route("/async", view_async)])
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)
    return _client(app)


def bare_starlette_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """Without the license middleware, as long as there is a telemetry."""
    del telemetry

    @needs
    def view(_request: Request) -> Response:
        return PlainTextResponse("served")

    @needs
    async def view_async(_request: Request) -> Response:
        return PlainTextResponse("served")

    return _client(Starlette(routes=[Route("/sync", view), Route("/async", view_async)]))


def fastapi_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """Endpoints that do not ask for the request, decorated."""
    app = FastAPI()
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)

    @app.get("/sync")
    @needs
    def view() -> str:
        return "served"

    @app.get("/async")
    @needs
    async def view_async() -> str:
        return "served"

    return _client(app)


def dependency_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """FastAPI's dependencies, of a route and of a parameter."""
    app = FastAPI()
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)

    @app.get("/sync", dependencies=[Depends(needs)])
    def view() -> str:
        return "served"

    @app.get("/async", dependencies=[Depends(needs)])
    async def view_async() -> str:
        return "served"

    return _client(app)


def litestar_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """Handlers that ask for nothing: of JSON and, by the kind of their result, of text."""

    @get("/sync", sync_to_thread=True)
    @needs
    def view() -> dict[str, str]:
        return {"served": "yes"}

    @get("/async")
    @needs
    async def view_async() -> str:
        return "served"

    app = Litestar([view, view_async], logging_config=None)
    init_litestar(app, telemetry)
    return _client(cast("Any", app))


def flask_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """Wrap views of Flask."""
    app = Flask(__name__)
    init_flask(app, telemetry)

    @app.get("/sync")
    @needs
    def view() -> str:
        return "served"

    def ask(path: str, host: str) -> Answer:
        answer = app.test_client().get("/sync" if path == "/async" else path, base_url=f"http://{host}")
        content = answer.json if answer.is_json else answer.text
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, content

    return ask


def quart_shop(telemetry: Telemetry, needs: Requirement) -> Ask:
    """Wrap views of Quart."""
    app = Quart(__name__)
    init_quart(app, telemetry)

    @app.get("/sync")
    @needs
    def view() -> str:
        return "served"

    @app.get("/async")
    @needs
    async def view_async() -> str:
        return "served"

    async def visit(path: str, host: str) -> Answer:
        answer = await app.test_client().get(path, headers={"host": host})
        content = await answer.get_json() if answer.is_json else await answer.get_data(as_text=True)
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, content

    return lambda path, host: asyncio.run(visit(path, host))


SHOPS = {
    "starlette": starlette_shop,
    "starlette, without the middleware": bare_starlette_shop,
    "fastapi": fastapi_shop,
    "fastapi, dependency": dependency_shop,
    "litestar": litestar_shop,
    "flask": flask_shop,
    "quart": quart_shop,
}
