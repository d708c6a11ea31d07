"""The license server: every route on one screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calos_telemetry.contract import schema as json_schema
from calos_telemetry.server.dashboard.endpoint import start, style
from calos_telemetry.server.vendor import Vendor, open_vendor
from calos_telemetry.server.verify.endpoint import erase, verify
from calos_telemetry.settings import ServerSettings


def create_app(settings: ServerSettings) -> Starlette:
    """Return the license server on the keys and databases under ``settings.home``.

    Raises :class:`StateError` where ``server init`` has not been run, :class:`StoreError` where a database is unusable.
    """
    vendor = open_vendor(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        vendor.start()
        yield
        vendor.close()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", start, methods=["GET"]),  # the vendor's people: the start page
            Route("/assets/style.css", style, methods=["GET"]),
            Route("/verify", verify, methods=["POST"]),  # installs: license decision, report, receipt
            Route("/erase", erase, methods=["POST"]),  # installs: their telemetry goes, a receipt comes
            Route("/keys", keys, methods=["GET"]),  # installs: the keyring, signed by the root
            Route("/schema", schema, methods=["GET"]),  # anybody: the JSON Schema of what is sent and answered
            Route("/status", status, methods=["GET"]),  # monitoring: is it up and are its databases
        ],
    )
    app.state.vendor = vendor
    return app


def keys(request: Request) -> Response:
    """Give the root-signed keyring to anybody."""
    vendor: Vendor = request.app.state.vendor
    return Response(msgspec.json.encode(vendor.keys.keyring), media_type="application/json")


def schema(_request: Request) -> Response:
    """Give the JSON Schema of events, reports and answers to anybody."""
    return Response(json_schema.as_text(), media_type="application/schema+json")


def status(request: Request) -> Response:
    """Say whether the server can work."""
    vendor: Vendor = request.app.state.vendor
    usable = vendor.store.usable()
    content: dict[str, object] = {
        "status": "ok" if usable else "database unusable",
        "version": version("calos-telemetry"),
    }
    if usable:
        content["reports_waiting"] = vendor.store.waiting()
    return JSONResponse(content, status_code=200 if usable else 503)
