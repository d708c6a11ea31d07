"""The operator's pages behind three frameworks, asked the same way: by hand, with any peer and any headers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Flask
from starlette.applications import Starlette

from calos_telemetry import LicenseMiddleware, Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.middleware.flask import init_flask

from ..conftest import HOST

NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def content(self) -> Any:
        return json.loads(self.body)


Ask = Callable[[str, str, Mapping[str, str], str], Answer]


def asgi_door(telemetry: Telemetry) -> Ask:
    """Return what asks a Starlette application, as README integrates it."""
    app = Starlette()
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)
    app.mount("/api/telemetry", telemetry.viewer())
    app.mount("/api/license", telemetry.viewer("/license"))

    def ask(method: str, url: str, headers: Mapping[str, str], peer: str) -> Answer:
        sent: list[Any] = []
        parts = urlsplit(url)
        scope = {
            "type": "http", "method": method, "path": parts.path, "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": (peer, 4711), "root_path": "", "http_version": "1.1", "scheme": "http",
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        start, *bodies = sent
        back = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], back, b"".join(body.get("body", b"") for body in bodies).decode("latin-1"))

    return ask


def environ_of(method: str, url: str, headers: Mapping[str, str], peer: str) -> dict[str, Any]:
    """Return the WSGI environ of a request."""
    parts = urlsplit(url)
    return {
        "REQUEST_METHOD": method, "PATH_INFO": parts.path, "QUERY_STRING": parts.query, "SCRIPT_NAME": "",
        "REMOTE_ADDR": peer, "SERVER_NAME": "shop", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()},
    }  # fmt: skip


def flask_door(telemetry: Telemetry) -> Ask:
    """Return what asks a Flask application, as README integrates it."""
    app = Flask(__name__)
    init_flask(app, telemetry)

    def ask(method: str, url: str, headers: Mapping[str, str], peer: str) -> Answer:
        started: list[Any] = []
        application: Any = app.wsgi_app
        body = application(environ_of(method, url, headers, peer), lambda *start: started.append(start))
        text = b"".join(body).decode("latin-1")
        getattr(body, "close", lambda: None)()
        status, back = started[0]
        return Answer(int(status[:3]), {name.lower(): value for name, value in back}, text)

    return ask


_DJANGO = """
import io, json, sys
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, APPEND_SLASH=False,
    MIDDLEWARE=["calos_telemetry.sdk.middleware.django.LicenseMiddleware",
                "calos_telemetry.sdk.middleware.django.TelemetryMiddleware"])
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from calos_telemetry.sdk.middleware.django import telemetry_urls
urlpatterns = [path("api/telemetry/", include(telemetry_urls())),
               path("api/license/", include(telemetry_urls(page="/license")))]
app = get_wsgi_application()
for line in sys.stdin:
    started = []
    environ = {**json.loads(line), "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
    body = app(environ, lambda *start: started.append(start))
    text = b"".join(body).decode("latin-1")
    body.close()
    print(json.dumps([started[0][0], started[0][1], text]), flush=True)
"""


@contextmanager
def django_door(home: Path, token: str | None) -> Iterator[Ask]:
    """Yield what asks a Django application, in a process of its own: Django is configured once in a process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
    env = {**clean, "CALOS_HOME": str(home), "CALOS_PUBLIC_HOST": HOST, "CALOS_LICENSE_SERVER": NOWHERE}
    process = subprocess.Popen(
        [sys.executable, "-c", _DJANGO],
        env=env | ({"CALOS_OPERATOR_TOKEN": token} if token else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # Django logs each refusal
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(method: str, url: str, headers: Mapping[str, str], peer: str) -> Answer:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(environ_of(method, url, headers, peer)) + "\n")
        process.stdin.flush()
        status, back, text = msgspec.json.decode(process.stdout.readline())
        return Answer(int(status[:3]), {name.lower(): value for name, value in back}, text)

    try:
        yield ask
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(20)
