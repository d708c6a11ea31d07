"""The application that the servers run: it tells who answered, and makes each request findable in the database.

The number in ``?n=`` becomes the session, so that the database says of each request whether it is there, and how often.
``/books`` answers with the books of the process that happens to be asked.  With ``BARE`` in the environment there is no telemetry, to see what the server does by itself.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.middleware.wsgi import TelemetryWsgiMiddleware

telemetry = None if os.environ.get("BARE") else Telemetry()
if os.environ.get("RECORD_AT_LOAD") and telemetry is not None:  # before a pre-forking server forks
    telemetry.track_feature(None, "loaded")


def _answer(path: str) -> bytes:
    if path == "/books" and telemetry is not None:
        books = telemetry.books()
        return json.dumps([os.getpid(), books.offered, books.recorded, sum(books.dropped.values())]).encode()
    return f"{os.getpid()}".encode()


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    scope.setdefault("state", {})["session_id"] = scope["query_string"].decode().removeprefix("n=")
    body = _answer(scope["path"])
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ["calos.session"] = environ["QUERY_STRING"].removeprefix("n=")
    body = _answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


asgi: Any = _asgi if telemetry is None else TelemetryMiddleware(_asgi, telemetry)
wsgi: Any = _wsgi if telemetry is None else TelemetryWsgiMiddleware(_wsgi, telemetry)
