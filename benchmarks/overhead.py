"""What telemetry costs inside an application: ours beside the field's, interleaved, in one run.

    python benchmarks/overhead.py            writes docs/benchmarks/overhead.md
    python benchmarks/overhead.py --quick    prints the same of fewer rounds

Each candidate is a process with the same Starlette application of 40 routes, driven in-process by a minimal ASGI driver, one
request after the other.  The parent asks all candidates in turn for a round of 300 requests, so that what the machine does
meanwhile hits all of them; *added* is the median, over the rounds, of a candidate's median minus that of the bare
application in the same round.  ``bare again`` is the bare application a second time: its distance from zero is what the
method resolves.  Peers run as installed, with their sending replaced by nothing (memory exporters, discarded transports), so
that their network is not counted against them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from installed import weight
from load import load

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "overhead.md"
ROUND = 300
ROUTES = 40
App = Callable[[Any, Any, Any], Awaitable[None]]
HEADERS = [
    (b"host", b"shop.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b"en"),
    (b"connection", b"keep-alive"),
    (b"cookie", b"session=0123456789abcdef"),
    (b"content-type", b"application/json"),
]


# -- the application ---------------------------------------------------------------------------------------------------


def application() -> Any:
    """Return a Starlette application of 40 routes whose handlers set a user and a session."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def handler(request: Request) -> PlainTextResponse:
        request.state.user_id = request.path_params["id"]
        request.state.session_id = "s" + request.path_params["id"]
        return PlainTextResponse("ok")

    return Starlette(routes=[Route(f"/api/r{number}/{{id}}/items", handler) for number in range(ROUTES)])


# -- the candidates ----------------------------------------------------------------------------------------------------


def bare() -> App:
    """Return the application alone."""
    return application()


def timing() -> App:
    """Return the floor: two clock readings and a list append around the application."""
    app = application()
    seen: list[tuple[int, int]] = []

    async def timed(scope: Any, receive: Any, send: Any) -> None:
        status = 0
        started = time.perf_counter_ns()

        async def watching(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await app(scope, receive, watching)
        seen.append((status, time.perf_counter_ns() - started))
        if len(seen) >= 10_000:  # noqa: PLR2004 - flat memory
            seen.clear()

    return timed


def ours() -> App:
    """Return the application with our middleware, all facts, crash-safe."""
    from calos_telemetry import Settings, Telemetry, TelemetryMiddleware

    home = Path(os.environ["BENCH_HOME"])
    telemetry = Telemetry(Settings(home=home, public_host="shop.example.com", server="http://127.0.0.1:9"))
    return TelemetryMiddleware(application(), telemetry)


def prometheus() -> App:
    """Return prometheus-fastapi-instrumentator, as its README instruments an application."""
    from prometheus_fastapi_instrumentator.middleware import PrometheusInstrumentatorMiddleware

    app = application()
    return PrometheusInstrumentatorMiddleware(app)


def posthog() -> App:
    """Return one PostHog event a request from a middleware; batches are discarded."""
    from posthog import Posthog

    client = Posthog("phc_bench", host="http://127.0.0.1:9", max_queue_size=1_000_000, send=False)
    app = application()

    async def capturing(scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()
        await app(scope, receive, send)
        state = scope.get("state", {})
        properties = {"path": scope["path"], "method": scope["method"], "ms": (time.perf_counter() - started) * 1e3}
        client.capture("request", distinct_id=state.get("user_id", "none"), properties=properties)

    return capturing


def opentelemetry() -> App:
    """Return OpenTelemetry traces and metrics; spans are exported to memory and dropped."""
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans: Any) -> Any:
            del spans
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider())
    return OpenTelemetryMiddleware(application())


def sentry(traces: float) -> App:
    """Return Sentry; its transport takes envelopes and drops them."""
    import sentry_sdk
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
    from sentry_sdk.transport import Transport

    class Discard(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            envelope.serialize()

    sentry_sdk.init(dsn="http://k@127.0.0.1:9/1", traces_sample_rate=traces, transport=Discard, send_default_pii=False)
    return SentryAsgiMiddleware(application())


ACCESS_LOG = "uvicorn's own access log"
CANDIDATES: dict[str, tuple[str | None, Callable[[], App]]] = {
    "bare": (None, bare),
    "bare again": (None, bare),
    "bare timing": (None, timing),
    "CALOS Telemetry": ("calos-telemetry", ours),
    "prometheus-fastapi-instrumentator": ("prometheus-fastapi-instrumentator", prometheus),
    "PostHog": ("posthog", posthog),
    "Sentry, errors only": ("sentry-sdk", lambda: sentry(0.0)),
    "OpenTelemetry, traces and metrics": ("opentelemetry-instrumentation-asgi", opentelemetry),
    "Sentry, traces": ("sentry-sdk", lambda: sentry(1.0)),
    ACCESS_LOG: (None, bare),
}


# -- one candidate's process -------------------------------------------------------------------------------------------


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def _send(message: Any) -> None:
    del message


def _scope(number: int) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": f"/api/r{number % ROUTES}/{number % 5_000}/items", "raw_path": b"", "query_string": b"", "root_path": "",
        "headers": HEADERS, "client": ("203.0.113.7", 5), "server": ("shop.example.com", 80), "state": {},
    }  # fmt: skip


async def _round(app: App, first: int, count: int) -> dict[str, float]:
    times: list[int] = []
    clock = time.perf_counter_ns
    cpu = time.process_time_ns()
    for number in range(first, first + count):
        scope = _scope(number)
        started = clock()
        await app(scope, _receive, _send)
        times.append(clock() - started)
    times.sort()
    spent = time.process_time_ns() - cpu
    return {"p50": times[count // 2] / 1e3, "p99": times[count * 99 // 100] / 1e3, "cpu": spent / count / 1e3}


def serve(name: str) -> None:
    """Serve a candidate's application with uvicorn on a free port, which is printed."""
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where an access log goes to
    config = uvicorn.Config(CANDIDATES[name][1](), log_level="info", access_log=name == ACCESS_LOG)
    uvicorn.Server(config).run(sockets=[listener])


def child(name: str) -> None:
    """Answer the parent's requests for rounds, a line each."""
    app = CANDIDATES[name][1]()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_round(app, 0, 2_000))
    gc.collect()
    sent = 2_000
    for line in sys.stdin:
        count = int(line)
        result = loop.run_until_complete(_round(app, sent, count))
        sent += count
        result["rss"] = _rss()
        print(json.dumps(result), flush=True)


def _rss() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a hot path of the kernel's
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


# -- the parent --------------------------------------------------------------------------------------------------------


class Process:
    """A candidate's process."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        own = home / name.replace(" ", "-").replace(",", "")
        own.mkdir()
        env = {**os.environ, "BENCH_HOME": str(own), "SENTRY_SPOTLIGHT": ""}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env,
        )  # fmt: skip

    def round(self, count: int = ROUND) -> dict[str, float]:
        """Ask for one round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def available() -> Iterator[str]:
    """Yield the candidates whose package is installed; say which are not."""
    modules = {
        "prometheus-fastapi-instrumentator": "prometheus_fastapi_instrumentator",
        "posthog": "posthog",
        "sentry-sdk": "sentry_sdk",
        "opentelemetry-instrumentation-asgi": "opentelemetry.instrumentation",
        "calos-telemetry": "calos_telemetry",
    }
    for name, (package, _) in CANDIDATES.items():
        if package is None or importlib.util.find_spec(modules[package].partition(".")[0]) is not None:
            yield name
        else:
            print(f"{name} is not measured: {package} is not installed (make bench installs it)", file=sys.stderr)


def latency(rounds: int) -> list[str]:
    """Return the table of added latency, CPU and memory."""
    home = Path(tempfile.mkdtemp(prefix="calos-bench-"))
    processes = [Process(name, home) for name in available() if name != ACCESS_LOG]
    results: dict[str, list[dict[str, float]]] = {process.name: [] for process in processes}
    for _ in range(rounds):
        for process in processes:
            results[process.name].append(process.round())
    growth = {process.name: _growth(process) for process in processes}
    for process in processes:
        process.end()
    shutil.rmtree(home, ignore_errors=True)
    lines = [
        "| candidate | version | added µs, median [quartiles] | added µs, p99 | CPU added µs | memory growth, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in results.items():
        added = [one["p50"] - base["p50"] for one, base in zip(rows, results["bare"], strict=True)]
        low, middle, high = statistics.quantiles(added, n=4)
        p99 = statistics.median(one["p99"] - base["p99"] for one, base in zip(rows, results["bare"], strict=True))
        cpu = statistics.median(one["cpu"] - base["cpu"] for one, base in zip(rows, results["bare"], strict=True))
        package = CANDIDATES[name][0]
        shown = version(package) if package else ""
        lines.append(
            f"| {name} | {shown} | **{middle:.1f}** [{low:.1f}..{high:.1f}] | {p99:.0f} | {cpu:.1f} | {growth[name]:.1f} |"
        )
    base = statistics.median(one["p50"] for one in results["bare"])
    return [f"Bare application: {base:.1f} µs a request; {rounds} rounds of {ROUND}.", "", *lines]


def _growth(process: Process) -> float:
    """Return how much memory 200,000 more requests take, in MB."""
    before = process.round()["rss"]
    after = before
    for _ in range(20):
        after = process.round(10_000)["rss"]
    return after - before


class Server:
    """A candidate behind uvicorn, one worker."""

    def __init__(self, name: str, home: Path) -> None:
        own = home / f"server-{name.replace(' ', '-').replace(',', '')}"
        own.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "BENCH_HOME": str(own)},
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def cpu(self) -> float:
        """Return the processor time used so far, in seconds, of all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def throughput(rounds: int, seconds: float = 2.0) -> list[str]:
    """Return the table of a whole server under load: CPU a request, and requests a second."""
    home = Path(tempfile.mkdtemp(prefix="calos-bench-"))
    servers = {name: Server(name, home) for name in available()}
    spent: dict[str, list[float]] = {name: [] for name in servers}
    rate: dict[str, list[float]] = {name: [] for name in servers}
    for server in servers.values():
        asyncio.run(load(server.port, 1.0))
    for _ in range(rounds):
        for name, server in servers.items():
            before = server.cpu()
            answered = asyncio.run(load(server.port, seconds))
            spent[name].append((server.cpu() - before) / answered * 1e6)
            rate[name].append(answered / seconds)
    for server in servers.values():
        server.end()
    shutil.rmtree(home, ignore_errors=True)
    lines = ["| candidate | CPU µs a request | added µs [min..max] | requests/s |", "|---|---|---|---|"]
    for name in servers:
        added = [one - base for one, base in zip(spent[name], spent["bare"], strict=True)]
        lines.append(
            f"| {name} | {statistics.median(spent[name]):.1f} | **{statistics.median(added):.1f}**"
            f" [{min(added):.1f}..{max(added):.1f}] | {statistics.median(rate[name]):,.0f} |"
        )
    return [f"uvicorn, one worker, 16 connections on the same {os.cpu_count()} cores; {rounds} rounds.", "", *lines]


def imports() -> list[str]:
    """Return the table of import times over Starlette alone, CPU ms, median of 9 interleaved runs."""
    statements = {
        "starlette alone": "import starlette.applications",
        "CALOS Telemetry": "import starlette.applications, calos_telemetry",
        "prometheus-fastapi-instrumentator": "import starlette.applications, prometheus_fastapi_instrumentator",
        "PostHog": "import starlette.applications, posthog",
        "Sentry": "import starlette.applications, sentry_sdk",
        "OpenTelemetry": "import starlette.applications, opentelemetry.instrumentation.asgi, opentelemetry.sdk.trace.export",
    }
    program = "import time; {}; print(time.process_time())"
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(9):
        for name, statement in statements.items():
            done = subprocess.run(
                [sys.executable, "-c", program.format(statement)], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                times[name].append(float(done.stdout) * 1e3)
    base = statistics.median(times["starlette alone"])
    lines = ["| import | CPU ms beyond Starlette |", "|---|---|"]
    lines += [f"| {name} | {statistics.median(each) - base:.0f} |" for name, each in times.items() if each]
    return lines


def sizes() -> list[str]:
    """Return the table of what is installed with each candidate."""
    lines = ["| package | packages with its needs | MB |", "|---|---|---|"]
    for package in sorted({package for package, _ in CANDIDATES.values() if package is not None}):
        packages, megabytes = weight(package)
        lines.append(f"| {package} | {packages} | {megabytes:.1f} |")
    return lines


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    if arguments.serve:
        serve(arguments.serve)
        return
    text = "\n".join(page(quick=arguments.quick)) + "\n"
    print(text)
    if not arguments.quick:
        PAGE.write_text(text, encoding="utf-8")


def page(*, quick: bool) -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# What telemetry costs inside an application\n"
    yield f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}."
    yield "`make bench`; candidates take turns in each round.\n"
    yield from latency(20 if quick else 80)
    yield ""
    yield from throughput(2 if quick else 7)
    yield ""
    yield from imports()
    yield ""
    yield from sizes()


if __name__ == "__main__":
    main()
