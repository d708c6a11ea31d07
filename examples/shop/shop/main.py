"""The application.  What an application does for telemetry is in the six lines that name it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from calos_telemetry import LicenseMiddleware, Telemetry, TelemetryMiddleware
from shop import commerce, community, integrations, people
from shop.database import prepare


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    prepare()
    yield


app = FastAPI(title="CALOS shop", lifespan=_lifespan)
app.add_middleware(people.PeopleMiddleware)

telemetry = Telemetry()  # settings come from the environment
app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
app.add_middleware(LicenseMiddleware, telemetry=telemetry)  # added last = runs first
app.mount("/api/telemetry", telemetry.viewer())

for module in (people, commerce, community, integrations):
    app.include_router(module.router)


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the shop is up."""
    return {"status": "ok"}
