"""Two applications, in FastAPI and in Flask, that do the same careless things with what their visitors send."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from flask import Flask, g
from flask import request as flask_request
from sqlalchemy import create_engine, text
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.testclient import TestClient

from calos_telemetry import LicenseMiddleware, Telemetry, TelemetryMiddleware, track_error, track_feature
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.testing.marks import Marks

HOST = "shop.example.com"
Ask = Callable[..., Any]
_KINDS = "could not bill {email} with {card}, key {token}, name='{name}', {amount}, {path}, call {phone} from {ip}"


def told(marks: Marks, place: str) -> str:
    """Return an error text that holds all marks of a place."""
    return _KINDS.format(**marks.all_of(place))


def fail(how: str, marks: Marks) -> None:
    """Raise one of the exceptions that applications raise."""
    if how == "sql":
        with create_engine("sqlite://").connect() as connection:
            values = " AND ".join(f"{kind} = '{value}'" for kind, value in marks.all_of("SQL statement").items())
            connection.execute(text(f"SELECT * FROM guests WHERE {values}"))
    if how == "parameters":
        with create_engine("sqlite://").connect() as connection:
            connection.execute(text("SELECT :a, :b FROM guests"), {"a": told(marks, "SQL parameters"), "b": 1})
    if how == "chain":
        try:
            raise sqlite3.OperationalError(told(marks, "cause of an exception"))
        except sqlite3.OperationalError as error:
            raise ValueError(told(marks, "exception in a chain")) from error
    if how == "group":
        raise ExceptionGroup(told(marks, "exception group"), [ValueError(told(marks, "member of a group"))])
    if how == "key":
        raise KeyError(marks.of("missing key", "name"))
    raise RuntimeError(told(marks, "exception text"))


def use_features(request: object, marks: Marks) -> None:
    """Track features with everything in the wrong places."""
    values = marks.all_of("metadata value")
    track_feature(request, "receipt_printed", {"note": str(values), "status": values["email"], **values})
    track_feature(request, "receipt_printed", {"items": [{"status": value} for value in values.values()]})
    keys = marks.all_of("metadata key")
    track_feature(request, "receipt_printed", {**dict.fromkeys(keys.values(), True), "a": {keys["email"]: {"ok": 1}}})
    for value in marks.all_of("feature name", but=("name",)).values():
        track_feature(request, f"sale {value}")
    try:
        fail("text", marks)
    except RuntimeError as error:
        track_error(request, error, {"note": told(marks, "error context"), marks.of("context key", "email"): 1})


def fastapi(telemetry: Telemetry, marks: Marks) -> Ask:
    """Return what asks the FastAPI application."""
    app = FastAPI()

    @app.api_route("/find/{what:path}", methods=["GET", "POST"])
    async def find(what: str, request: Request) -> Response:
        request.state.user_id = marks.of("user id", "email")
        request.state.session_id = marks.of("session id", "token")
        use_features(request, marks)
        return JSONResponse({"echo": what, "body": (await request.body()).decode()}, headers={"X-Echo": what[:40]})

    @app.get("/fail/{how}")
    def broken(how: str, request: Request) -> None:
        request.state.user_id = marks.of("user id", "name")
        fail(how, marks)

    app.mount("/raw", PlainTextResponse("no router here"))
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)
    app.mount("/api/telemetry", telemetry.viewer())
    client = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False, client=("127.0.0.1", 4711))

    def ask(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        return client.request(method, path, headers=dict(headers), content=body).content

    return ask


def flask(telemetry: Telemetry, marks: Marks) -> Ask:
    """Return what asks the Flask application."""
    app = Flask("canary_shop")

    @app.route("/find/<path:what>", methods=["GET", "POST"])
    def find(what: str) -> tuple[str, int, dict[str, str]]:
        g.user_id = marks.of("user id", "email")
        g.session_id = marks.of("session id", "token")
        use_features(flask_request, marks)
        return (
            what + flask_request.get_data(as_text=True),
            200,
            {"X-Echo": what[:40].encode("ascii", "replace").decode()},
        )

    @app.get("/fail/<how>")
    def broken(how: str) -> str:
        g.user_id = marks.of("user id", "name")
        fail(how, marks)
        return ""

    init_flask(app, telemetry)
    client = app.test_client()

    def ask(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        answer = client.open(path, method=method, headers=dict(headers), data=body, base_url=f"http://{HOST}")
        content: bytes = answer.data
        answer.close()  # as every server does
        return content

    return ask
