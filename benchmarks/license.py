"""What the license middleware adds to a request, with and without a configured public host.

    python benchmarks/license.py

The bare callable and those with the middleware around it are asked in turn, one request after the other, so that what the
machine does meanwhile hits all of them; *added* is the difference of the fastest rounds, which a busy machine disturbs least.  ``bare again`` is what the method resolves; ``bare timing`` is what any middleware costs that looks at the answer.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calos_telemetry import LicenseMiddleware, Settings, Telemetry
from calos_telemetry.sdk.license.gates import LicenseWsgiMiddleware

ROUND = 500
ROUNDS = 300
SERVER = "http://127.0.0.1:9"
HEADERS = [
    (b"host", b"shop.example.com"),
    (b"accept", b"*/*"),
    (b"user-agent", b"Mozilla/5.0"),
    (b"cookie", b"session=1"),
]
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY = {"type": "http.response.body", "body": b"ok"}


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer as a framework does: with two messages."""
    await send(START)
    await send(BODY)


def timed(application: Any) -> Any:
    """Return the floor: two clock readings and a list append around the application, as benchmarks/overhead.py has it."""
    seen: list[tuple[int, int]] = []

    async def timing(scope: Any, receive: Any, send: Any) -> None:
        status = 0
        started = time.perf_counter_ns()

        async def watching(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await application(scope, receive, watching)
        seen.append((status, time.perf_counter_ns() - started))
        if len(seen) >= ROUND:
            seen.clear()

    return timing


def wsgi_app(_environ: Any, start_response: Any) -> list[bytes]:
    """Answer as a framework does."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


def asgi_round(application: Any) -> float:
    """Return ns a request."""

    async def ask() -> float:
        async def send(_message: Any) -> None:
            pass

        began = time.perf_counter_ns()
        for _ in range(ROUND):
            await application({"type": "http", "headers": HEADERS, "state": {}}, None, send)
        return (time.perf_counter_ns() - began) / ROUND

    return asyncio.run(ask())


def wsgi_round(application: Any) -> float:
    """Return ns a request."""

    def start_response(_status: str, _headers: Any) -> None:
        pass

    began = time.perf_counter_ns()
    for _ in range(ROUND):
        application({"HTTP_HOST": "shop.example.com"}, start_response)
    return (time.perf_counter_ns() - began) / ROUND


def table(name: str, candidates: dict[str, Any], ask: Callable[[Any], float]) -> list[str]:
    """Return the rows of one interface; the first candidate is the bare application."""
    found: dict[str, list[float]] = {label: [] for label in candidates}
    for _ in range(ROUNDS):
        for label, candidate in candidates.items():
            found[label].append(ask(candidate))
    bare, *rest = found
    return [f"| {name}, {label} | **{(min(found[label]) - min(found[bare])) / 1e3:.2f}** |" for label in rest]


def main() -> None:
    """Measure and print."""
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="calos-bench-") as home:
        telemetries = {
            f"{label} public host": Telemetry(Settings(home=Path(home) / label, public_host=host, server=SERVER))
            for label, host in (("with a", "shop.example.com"), ("without a", None))
        }
        print("| license middleware | added µs a request |", "|---|---|", sep="\n")
        asgi = {"bare": app, "bare again": app, "bare timing": timed(app)}
        asgi |= {label: LicenseMiddleware(app, telemetry) for label, telemetry in telemetries.items()}
        wsgi: dict[str, Any] = {"bare": wsgi_app, "bare again": wsgi_app}
        wsgi |= {label: LicenseWsgiMiddleware(wsgi_app, telemetry) for label, telemetry in telemetries.items()}
        print(*table("ASGI", asgi, asgi_round), *table("WSGI", wsgi, wsgi_round), sep="\n")


if __name__ == "__main__":
    main()
