"""Features that are found without a call by hand: by decorator, by prefix and by tag, counted once."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import Settings, Telemetry, TelemetryMiddleware, feature
from calos_telemetry.contract.declarations import Declarations
from calos_telemetry.sdk.middleware.flask import init_flask

from .conftest import HOST, Stored


def features(stored: Stored) -> Counter[str]:
    """Return the uses of each feature, as the rollup counts them."""
    return Counter(event["feature"] for event in stored() if event.get("feature"))


@feature("reports")
async def report(_request: Request) -> Response:
    return PlainTextResponse("ok")


@feature("exports")
def export(_request: Request) -> Response:
    return helper()


@feature("exports")
def helper() -> Response:
    return PlainTextResponse("ok")


@feature("settings")
class SettingsPage(HTTPEndpoint):
    async def get(self, _request: Request) -> Response:
        return other()


@feature("themes")
def other() -> Response:
    return PlainTextResponse("ok")


def test_marked_endpoints_of_starlette_are_counted_once(telemetry: Telemetry, stored: Stored) -> None:
    """A mark on a coroutine, a function or a class gives the request its feature; a second feature in it is its own use."""
    routes = [Route("/pos/report", report), Route("/export", export), Route("/settings", SettingsPage)]
    client = TestClient(TelemetryMiddleware(Starlette(routes=routes), telemetry), base_url=f"http://{HOST}")
    assert [client.get(path).text for path in ("/pos/report", "/export", "/settings")] == ["ok"] * 3
    assert features(stored) == {"reports": 1, "exports": 1, "settings": 1, "themes": 1}
    assert sum(event["type"] == "feature_usage" for event in stored()) == 1


def test_marked_endpoints_of_fastapi_keep_their_signature(telemetry: Telemetry, stored: Stored) -> None:
    """FastAPI reads the parameters of a marked endpoint, sync or async, as if there were no mark."""
    app = FastAPI()

    @app.get("/a/{number}")
    @feature("async_one")
    async def one(number: int, q: str = "x") -> dict[str, Any]:
        return {"number": number, "q": q}

    @app.get("/s/{number}")
    @feature("sync_one")
    def two(number: int) -> int:
        return number

    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    client = TestClient(app, base_url=f"http://{HOST}")
    assert (client.get("/a/7?q=y").json(), client.get("/s/8").json()) == ({"number": 7, "q": "y"}, 8)
    assert client.get("/a/seven").status_code == 422
    assert features(stored) == {"async_one": 1, "sync_one": 1}


class Tag(Enum):
    FORUM = "forum"


def tagged_app() -> FastAPI:
    router = APIRouter(prefix="/forum", tags=[Tag.FORUM])
    app = FastAPI()

    @router.get("/posts")
    def posts() -> str:
        return "ok"

    @app.get("/misc", tags=["misc", "crypto"])
    def misc() -> str:
        return "ok"

    app.include_router(router)
    return app


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"features": {"/else": "forum"}}, {"forum": 1}),
        ({"declarations": Declarations(features={"crypto": "withdrawals"})}, {"crypto": 1}),
        ({"feature_tags": True}, {"forum": 1, "misc": 1}),
        ({"feature_tags": True, "features": {"/misc": "by_prefix"}}, {"forum": 1, "by_prefix": 1}),
    ],
)
def test_tags_count_where_they_are_declared_or_asked_for(
    tmp_path: Any, options: dict[str, Any], expected: dict[str, int]
) -> None:
    """A route's or router's tag is a feature when one of that name is declared, or with feature_tags; a prefix wins."""
    telemetry = Telemetry(Settings(home=tmp_path, public_host=HOST, server="http://127.0.0.1:9"), **options)
    client = TestClient(TelemetryMiddleware(tagged_app(), telemetry), base_url=f"http://{HOST}")
    assert (client.get("/forum/posts").json(), client.get("/misc").json()) == ("ok", "ok")
    telemetry.flush()
    counted = {row["feature"]: row["count"] for row in telemetry.summary()["featureUsage"]}
    telemetry.close()
    assert (counted, telemetry.failures) == (expected, {})


def test_marked_views_of_flask(telemetry: Telemetry, stored: Stored) -> None:
    """A marked Flask view gives the request its feature."""
    app = Flask("marked")
    init_flask(app, telemetry)

    @app.get("/x")
    @feature("flask_view")
    def x() -> str:
        return "ok"

    assert app.test_client().get("/x", base_url=f"http://{HOST}", buffered=True).text == "ok"
    assert features(stored) == {"flask_view": 1}


_DJANGO = """
import asyncio, json, sys
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    MIDDLEWARE=["calos_telemetry.sdk.middleware.django.TelemetryMiddleware"])
import django
django.setup()
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.views import View
from calos_telemetry import Telemetry, feature

@feature("function")
def function(request): return HttpResponse("ok")
@feature("coroutine")
async def coroutine(request): return HttpResponse("ok")
@feature("klass")
class Klass(View):
    def get(self, request): return HttpResponse("ok")
class Async(View):
    async def get(self, request): return HttpResponse("ok")
def plain(request, number=0): return HttpResponse("ok")
urlpatterns = [path("f", function), path("c", coroutine), path("k", Klass.as_view()),
    path("a", feature("async_class")(Async.as_view())),
    path("forum/", include(([path("n", plain)], "forum"))), path("pos/<int:number>", plain)]
telemetry = Telemetry(features={"/pos": "by_prefix", "/nowhere": "forum"})
names = ["f", "c", "k", "a", "forum/n", "pos/7"]
answers = [Client().get("/" + name).content.decode() for name in names]
answers += [asyncio.run(AsyncClient().get("/" + name)).content.decode() for name in names]
assert answers == ["ok"] * 12, answers
telemetry.flush()
print(json.dumps({row["feature"]: row["count"] for row in telemetry.summary()["featureUsage"]}))
"""


def test_features_of_django(tmp_path: Any) -> None:
    """Marked views, functions and classes, sync and async, URL namespaces and prefixes, under WSGI and ASGI, count once."""
    environment = {
        **os.environ,
        "CALOS_HOME": str(tmp_path),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
    }
    ran = subprocess.run(
        [sys.executable, "-c", _DJANGO], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    found = ("function", "coroutine", "klass", "async_class", "forum", "by_prefix")
    assert json.loads(ran.stdout) == dict.fromkeys(found, 2)


def test_outside_requests_each_call_is_a_use(telemetry: Telemetry, stored: Stored) -> None:
    """Functions, coroutines and generators outside any request are recorded as uses, and return what they return."""

    @feature("job")
    def job() -> int:
        return 1

    @feature("task")
    async def task() -> int:
        return 2

    @feature("lines")
    def lines() -> Iterator[int]:
        yield 3

    @feature("stream")
    async def stream() -> AsyncIterator[int]:
        yield 4

    async def gather() -> list[int]:
        return [item async for item in stream()]

    assert [job(), asyncio.run(task()), *lines(), *asyncio.run(gather())] == [1, 2, 3, 4]
    assert features(stored) == {"job": 1, "task": 1, "lines": 1, "stream": 1}
    assert isinstance(telemetry, Telemetry)
