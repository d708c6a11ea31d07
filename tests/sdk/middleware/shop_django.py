"""A small Django shop: run as a process of its own by the tests, because Django is configured once in a process.

It asks itself what its argument names, and prints the answers and what was stored as JSON.
"""

import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{tempfile.mkdtemp()}/shop.sqlite3"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    MIDDLEWARE=[
        "calos_telemetry.sdk.middleware.django.LicenseMiddleware",
        "calos_telemetry.sdk.middleware.django.TelemetryMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{__name__}.broken_middleware",
    ],
    LOGGING_CONFIG=None,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - Django must be set up first
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.test import AsyncClient, Client  # noqa: E402
from django.urls import include, path, re_path  # noqa: E402
from sqlalchemy import text  # noqa: E402

from calos_telemetry import track_error, track_feature  # noqa: E402
from calos_telemetry.sdk.middleware.django import telemetry_urls  # noqa: E402
from calos_telemetry.sdk.telemetry import default_telemetry  # noqa: E402

HOST = "shop.example.com"
queries: list[str] = []
began = asyncio.Event()


def broken_middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], Any]:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.headers.get("X-Break"):
            raise ConnectionError("no cache for bob@acme.example")
        return get_response(request)

    return middleware


def sale(request: HttpRequest, number: int) -> HttpResponse:
    track_feature(request, "receipt_printed", {"status": "completed"})
    return JsonResponse({"number": number, "read": len(request.body)}, status=201)


async def sale_async(request: HttpRequest, name: str) -> HttpResponse:
    await track_feature(request, "awaited")
    return HttpResponse(f"<h1>{name}</h1>")


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse("known" if request.user.is_authenticated else "unknown")


async def who_async(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    return HttpResponse("known" if user.is_authenticated else "unknown")


def lazy(_request: HttpRequest, *_: str, **__: str) -> HttpResponse:
    return HttpResponse("never asked who it was")


async def lazy_async(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("never asked who it was")


def broken(_request: HttpRequest, name: str) -> HttpResponse:
    raise TimeoutError(f"no answer for {name}@acme.example")


async def broken_async(_request: HttpRequest, name: str) -> HttpResponse:
    raise TimeoutError(f"no answer for {name}@acme.example")


def missing(_request: HttpRequest) -> HttpResponse:
    raise Http404


def caught(request: HttpRequest) -> HttpResponse:
    thread = threading.Thread(target=track_error, args=(request, KeyError("bob")))
    thread.start()
    thread.join()
    return HttpResponse("ok")


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[bytes]:
        yield b"abc"
        yield b"de"

    return StreamingHttpResponse(chunks())


async def stream_async(_request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"de"

    return StreamingHttpResponse(chunks())


def file(_request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


def endless(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(lambda: b"again", None))


async def endless_async(_request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"again"
        await asyncio.Event().wait()

    return StreamingHttpResponse(chunks())


async def waiting(_request: HttpRequest) -> HttpResponse:
    began.set()
    await asyncio.Event().wait()
    return HttpResponse("nobody is there")


def tier(request: Any) -> HttpResponse:
    return HttpResponse(request.license.tier)


api = [
    path("pos/<int:number>", sale),
    path("async/<str:name>/", sale_async),
    re_path(r"^archive/(?P<year>[0-9]{4})/(?P<rest>.+)$", lazy),
]
urlpatterns = [
    path("api/", include(api)),
    re_path(r"^legacy/(\d+)/$", lazy),
    path("who", who),
    path("who/async", who_async),
    path("lazy", lazy),
    path("lazy/async", lazy_async),
    path("broken/<name>", broken),
    path("broken/async/<name>", broken_async),
    path("missing", missing),
    path("caught", caught),
    path("stream", stream),
    path("stream/async", stream_async),
    path("file", file),
    path("endless", endless),
    path("endless/async", endless_async),
    path("waiting", waiting),
    path("healthz", lazy),
    path("tier", tier),
    path("api/telemetry/", include(telemetry_urls())),
]


def ask_sync(calls: list[dict[str, Any]]) -> Iterator[tuple[Any, bytes]]:
    client = Client(raise_request_exception=False, headers={"host": HOST})
    if any(call.get("login") for call in calls):
        client.force_login(User.objects.create(pk=4711, username="alice@acme.example"))
    for call in calls:
        answer = client.generic(
            call.get("method", "GET"), call["path"], call.get("body", ""), headers=call.get("headers")
        )
        body = seen_of(answer, leaving=call.get("leave", False))
        answer.close()
        yield answer, body


def seen_of(answer: Any, *, leaving: bool) -> bytes:
    if leaving:
        return bytes(next(iter(answer)))
    return b"".join(answer) if answer.streaming else bytes(answer.content)


async def leave(path: str) -> tuple[Any, bytes]:
    """Go away as soon as there is something to see, or the view has begun: a server tells Django, which cancels."""
    scope = {
        "type": "http", "method": "GET", "path": path, "headers": [(b"host", HOST.encode())], "query_string": b"",
    }  # fmt: skip
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": b""})
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if message.get("more_body"):
            began.set()

    began.clear()
    task = asyncio.create_task(get_asgi_application()(scope, inbox.get, send))
    await began.wait()
    inbox.put_nowait({"type": "http.disconnect"})
    await task
    return HttpResponse(), b"".join(sent)


async def body_of(answer: Any) -> bytes:
    if not answer.streaming:
        content: bytes = answer.content
        return content
    return b"".join([chunk async for chunk in answer]) if answer.is_async else b"".join(answer)


async def ask_async(calls: list[dict[str, Any]]) -> list[tuple[Any, bytes]]:
    client, answers = AsyncClient(raise_request_exception=False, headers={"host": HOST}), []
    if any(call.get("login") for call in calls):
        await client.aforce_login(await User.objects.acreate(pk=4711, username="alice@acme.example"))
    for call in calls:
        if call.get("leave"):
            answers.append(await leave(call["path"]))
            continue
        answer = await client.generic(
            call.get("method", "GET"), call["path"], call.get("body", ""), headers=call.get("headers")
        )
        answers.append((answer, await body_of(answer)))
        answer.close()
    return answers


def count(execute: Any, sql: str, *rest: Any) -> Any:
    queries.append(sql)
    return execute(sql, *rest)


def main() -> None:
    stack, calls = sys.argv[1], json.loads(sys.argv[2])
    call_command("migrate", verbosity=0)
    telemetry = default_telemetry()
    with connection.execute_wrapper(count):
        answers = list(ask_sync(calls)) if stack == "sync" else asyncio.run(ask_async(calls))
    telemetry.flush()
    with telemetry.install.engine.connect() as database:
        rows = database.execute(text("SELECT event_type, event_data FROM telemetry_events ORDER BY created_at")).all()
    found = {
        "answers": [
            {"status": answer.status_code, "body": body.decode(), "headers": dict(answer.headers)}
            for answer, body in answers
        ],
        "events": [{"type": kind, **json.loads(data)} for kind, data in rows],
        "failures": telemetry.failures,
        "queries": len(queries),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
