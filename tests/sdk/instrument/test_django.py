"""Queries of Django, in a process of its own, because Django is configured once in a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ..conftest import HOST

_PROGRAM = """
import asyncio, json
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], USE_TZ=True,
    MIDDLEWARE=["calos_telemetry.sdk.middleware.django.TelemetryMiddleware"])
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from calos_telemetry.sdk.instrument.django import instrument_django
from calos_telemetry.sdk.telemetry import default_telemetry
telemetry = default_telemetry()
end = instrument_django(telemetry)
instrument_django(telemetry)
def sync_view(request):
    User.objects.create(username="alice")
    list(User.objects.filter(username="alice"))
    return HttpResponse("ok")
async def async_view(request):
    await User.objects.filter(username="alice").adelete()
    return HttpResponse("ok")
urlpatterns = [path("s", sync_view), path("a", async_view)]
connection.close()
with connection.execute_wrapper(lambda execute, *rest: execute(*rest)):
    assert Client().get("/s").content == b"ok"
assert len(connection.execute_wrappers) == 1
async def ask():
    return (await AsyncClient().get("/a")).content
assert asyncio.run(ask()) == b"ok"
end()
User.objects.count()
telemetry.flush()
from sqlalchemy import text
with telemetry.install.engine.connect() as c:
    rows = c.execute(text("SELECT path, count FROM telemetry_performance WHERE metric = 'database_query'")).all()
    sums = c.execute(text("SELECT value FROM telemetry_aggregates WHERE counter = 'database_queries'")).scalar()
    leaked = c.execute(text("SELECT count(*) FROM telemetry_events WHERE event_data LIKE '%alice%'")).scalar()
print(json.dumps([dict(map(tuple, rows)), sums, leaked, telemetry.failures]))
"""


def test_django_queries_are_counted_in_their_request(tmp_path: Path) -> None:
    """Sync and async views: queries by operation and table, in all connections, once; other wrappers stay in order."""
    environment = {
        **os.environ,
        "CALOS_HOME": str(tmp_path / "home"),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=90,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    series, in_requests, leaked, failures = json.loads(ran.stdout)
    assert series.keys() >= {"INSERT auth_user", "DELETE auth_user"}, series
    assert (series["INSERT auth_user"], series["DELETE auth_user"], leaked, failures) == (1, 1, 0, {})
    assert series["SELECT auth_user"] >= 1
    assert in_requests == sum(series.values())
