"""A Django shop whose views need the enterprise tier: run as a process of its own by the tests."""

import asyncio
import json
import sys
from typing import Any

import django
from django.conf import settings

from calos_telemetry.license import Branding, require_tier

brand = Branding("Café & CALOS", "https://calos.sh").context
settings.configure(
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "calos_telemetry.sdk.middleware.django.LicenseMiddleware",
        "calos_telemetry.sdk.middleware.django.TelemetryMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": [f"{__name__}.brand"],
                "loaders": [("django.template.loaders.locmem.Loader", {"page": "<footer>{{ branding }}</footer>"})],
            },
        }
    ],
    LOGGING_CONFIG=None,
)
django.setup()

from django.http import HttpRequest, HttpResponse  # noqa: E402 - Django must be set up first
from django.shortcuts import render  # noqa: E402
from django.test import AsyncClient, Client  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views import View  # noqa: E402

enterprise = require_tier("enterprise")


@enterprise
def view(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("served")


@enterprise
async def view_async(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("served")


class Page(View):
    def get(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse("served")


class PageAsync(View):
    async def get(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse("served")


@method_decorator(enterprise, name="dispatch")
class PageDispatched(Page):
    pass


def helped(_request: HttpRequest) -> HttpResponse:
    """Let a guarded function without a request answer, as frameworks on top of Django do that have requests of their own."""
    return enterprise(lambda: HttpResponse("served"))()


def branded(request: HttpRequest) -> HttpResponse:
    return render(request, "page")


urlpatterns = [
    path("sync", view),
    path("async", view_async),
    path("class", enterprise(Page.as_view())),
    path("class/async", enterprise(PageAsync.as_view())),
    path("dispatch", PageDispatched.as_view()),
    path("helped", helped),
    path("page", branded),
]
PATHS = ["/" + str(pattern.pattern) for pattern in urlpatterns]


def told(answer: Any) -> dict[str, Any]:
    return {"status": answer.status_code, "headers": dict(answer.headers), "body": answer.content.decode()}


async def ask_async() -> dict[str, Any]:
    return {each: told(await AsyncClient().get(each)) for each in PATHS}


if __name__ == "__main__":
    found = asyncio.run(ask_async()) if sys.argv[1] == "async" else {each: told(Client().get(each)) for each in PATHS}
    sys.stdout.write(json.dumps(found))
