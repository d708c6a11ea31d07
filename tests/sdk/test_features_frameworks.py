"""Features by mark, by prefix and by what a route belongs to, and visitors who opt out: alike in every framework."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import flask
import pytest
import quart
from fastapi import FastAPI, Request
from litestar import Litestar, Router, get
from litestar import Request as LitestarRequest
from litestar.params import FromPath
from starlette.testclient import TestClient

from calos_telemetry import Settings, Telemetry, TelemetryMiddleware, feature, track_feature
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.sdk.middleware.litestar import init_litestar
from calos_telemetry.sdk.middleware.quart import init_quart

from .conftest import HOST, Stored

Ask = Callable[[str, dict[str, str]], str]
"""Ask an application for a path with headers; the text of the answer."""


def of_fastapi(telemetry: Telemetry) -> Ask:
    """FastAPI, with everything in a mounted application."""
    inner, app = FastAPI(), FastAPI()

    @inner.get("/threads/{name}", tags=["forum"])
    def thread(name: str) -> str:
        return name

    @inner.get("/marked")
    @feature("by_mark")
    async def marked() -> str:
        return "ok"

    @inner.get("/prefixed/{name}")
    async def prefixed(name: str, request: Request) -> str:
        request.state.user_id, request.state.session_id = "alice", "cookie"
        await track_feature(request, "by_hand")
        return name

    app.mount("/shop", inner)
    client = TestClient(TelemetryMiddleware(app, telemetry), base_url=f"http://{HOST}")
    return lambda path, headers: str(client.get(path, headers=headers).json())


def of_litestar(telemetry: Telemetry) -> Ask:
    @get("/threads/{name:str}", tags=["forum"], sync_to_thread=True)
    def thread(name: FromPath[str]) -> str:
        return name

    @get("/marked")
    @feature("by_mark")
    async def marked() -> str:
        return "ok"

    @get("/prefixed/{name:str}")
    async def prefixed(name: FromPath[str], request: LitestarRequest[Any, Any, Any]) -> str:
        request.state.user_id, request.state.session_id = "alice", "cookie"
        await track_feature(request, "by_hand")
        return name

    app = Litestar([Router("/shop", route_handlers=[thread, marked, prefixed])], logging_config=None)
    init_litestar(app, telemetry)
    client = TestClient(cast("Any", app), base_url=f"http://{HOST}")
    return lambda path, headers: client.get(path, headers=headers).text


def of_quart(telemetry: Telemetry) -> Ask:
    """Quart, with the forum in a blueprint within another."""
    app, forum, shop = quart.Quart(__name__), quart.Blueprint("forum", __name__), quart.Blueprint("shop", __name__)

    @forum.get("/threads/<name>")
    async def thread(name: str) -> str:
        return name

    @shop.get("/marked")
    @feature("by_mark")
    async def marked() -> str:
        return "ok"

    @shop.get("/prefixed/<name>")
    async def prefixed(name: str) -> str:
        quart.g.user_id, quart.g.session_id = "alice", "cookie"
        await track_feature(quart.request, "by_hand")
        return name

    init_quart(app, telemetry)
    shop.register_blueprint(forum)
    app.register_blueprint(shop, url_prefix="/shop")

    async def ask(path: str, headers: dict[str, str]) -> str:
        return await (await app.test_client().get(path, headers={"host": HOST, **headers})).get_data(as_text=True)

    return lambda path, headers: asyncio.run(ask(path, headers))


def of_flask(telemetry: Telemetry) -> Ask:
    """Flask, with the forum in a blueprint within another."""
    app, forum, shop = flask.Flask(__name__), flask.Blueprint("forum", __name__), flask.Blueprint("shop", __name__)

    @forum.get("/threads/<name>")
    def thread(name: str) -> str:
        return name

    @shop.get("/marked")
    @feature("by_mark")
    def marked() -> str:
        return "ok"

    @shop.get("/prefixed/<name>")
    def prefixed(name: str) -> str:
        flask.g.user_id, flask.g.session_id = "alice", "cookie"
        track_feature(flask.request, "by_hand")
        return name

    init_flask(app, telemetry)
    shop.register_blueprint(forum)
    app.register_blueprint(shop, url_prefix="/shop")
    client = app.test_client()
    return lambda path, headers: client.get(path, headers=headers, base_url=f"http://{HOST}", buffered=True).text


MAKERS = [of_fastapi, of_litestar, of_quart, of_flask]


@pytest.mark.parametrize("make", MAKERS)
def test_features_are_found_in_every_framework(tmp_path: Any, make: Callable[[Telemetry], Ask]) -> None:
    """By tag (or blueprint) where one of that name is declared, by mark, by prefix and by hand, each once."""
    prefixes = {"/shop/prefixed": "by_prefix", "/nowhere": "forum"}
    telemetry = Telemetry(Settings(home=tmp_path, public_host=HOST, server="http://127.0.0.1:9"), features=prefixes)
    ask = make(telemetry)
    answers = [ask(path, {}) for path in ("/shop/threads/bob", "/shop/marked", "/shop/prefixed/bob")]
    assert answers == ["bob", "ok", "bob"]
    telemetry.flush()
    summary = telemetry.summary()
    telemetry.close()
    assert {row["feature"]: row["count"] for row in summary["featureUsage"]} == dict.fromkeys(
        ("forum", "by_mark", "by_prefix", "by_hand"), 1
    )
    assert {row["path"] for row in summary["performance"]} == {
        "/shop/threads/:id", "/shop/marked", "/shop/prefixed/:id"
    }  # fmt: skip
    assert telemetry.failures == {}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("headers", "known"), [({}, True), ({"Sec-GPC": "0"}, True), ({"Sec-GPC": "1"}, False)])
def test_who_opts_out_carries_no_hashes(
    telemetry: Telemetry, stored: Stored, make: Callable[[Telemetry], Ask], headers: dict[str, str], known: bool
) -> None:
    """With Sec-GPC: 1 neither the request nor what is tracked in it has a user or a session, in every framework."""
    assert make(telemetry)("/shop/prefixed/bob", headers) == "bob"
    request = next(event for event in stored() if event["type"] == "api_request")
    assert ("user" in request, "session" in request) == (known, known)
    assert known or all("user" not in event and "session" not in event for event in stored())
