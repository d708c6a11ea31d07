"""An air-gapped install opens no socket: every process of a real server is trapped, its children included."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from tests.lifecycle.servers import environment, free_port

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Order
from calos_telemetry.server.store import open_licenses
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.database import writing

PATIENCE = 60.0
TRAP = """
import os, sys
_file = os.open(os.environ["SOCKET_TRAP"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_trapped = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}

def _hook(event, arguments):
    if event in _trapped:
        told = [each for each in arguments if isinstance(each, (str, int, tuple))]
        os.write(_file, f"{os.getpid()} {event} {told}\\n".encode())
        raise OSError("trapped")

sys.addaudithook(_hook)
"""
APPLICATION = """
import subprocess, sys
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from calos_telemetry import Telemetry, TelemetryMiddleware
from calos_telemetry.sdk.license.gates import LicenseMiddleware

telemetry = Telemetry()
COMMAND = [sys.executable, "-c", "from calos_telemetry.cli.main import main; main()"]

def work(request):
    verified = telemetry.install.verify()
    telemetry.install.check_ledger()
    telemetry.flush()
    command = subprocess.run([*COMMAND, "verify"], capture_output=True, text=True)
    subprocess.run([*COMMAND, "status"], check=True)
    return JSONResponse({"sentence": verified.sentence, "command": command.stdout, "tier": telemetry.license.tier})

def ran(request):
    jobs = telemetry._schedule._jobs
    return JSONResponse(next(job.due for job in jobs if job.name == "verify the license"))

middleware = [Middleware(LicenseMiddleware, telemetry), Middleware(TelemetryMiddleware, telemetry)]
app = Starlette(routes=[Route("/work", work), Route("/ran", ran)], middleware=middleware)
"""


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """Return a directory with the application and the trap, which every Python process that finds it sets at its start."""
    (tmp_path / "sitecustomize.py").write_text(TRAP)
    (tmp_path / "shop.py").write_text(APPLICATION)
    return tmp_path


def settings_of(directory: Path, *, air_gapped: bool) -> dict[str, str]:
    """Issue an Enterprise license, switch telemetry off, and return the environment of the install."""
    held = keys.init(directory / "vendor", now_ms())
    engine = open_licenses(ServerSettings(home=directory / "vendor"))
    with writing(engine) as connection:
        order = Order(tier=Tier.ENTERPRISE, licensee="ACME", days=30, air_gapped=air_gapped)
        issued = licenses.issue(connection, held, order, now_ms())
    engine.dispose()
    home = directory / "home"
    home.mkdir(mode=0o700)
    (home / "plan.json").write_text('{"due_at":0,"made_at":0}')  # a verification is due at once
    (home / "plan.json").chmod(0o600)
    more = {"CALOS_LICENSE_KEY": issued.key, "CALOS_VENDOR_KEY": encode_public(held.root), "TELEMETRY_DISABLED": "true"}
    found = environment(home, **more, SOCKET_TRAP=str(directory / "trap"))
    return found | {"PYTHONPATH": f"{directory}:{':'.join(path for path in sys.path if path)}"}


def answer(port: int, path: str) -> Iterator[object]:
    """Yield what the server says, as often as asked; nothing while it is not there yet."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            yield urllib3.request("GET", f"http://127.0.0.1:{port}{path}", retries=False, timeout=PATIENCE).json()
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)


@pytest.mark.parametrize("air_gapped", [True, False])
def test_no_socket_is_opened_behind_an_air_gap(trapped: Path, air_gapped: bool) -> None:
    """The background, a verification asked for, the operator's commands: silent; with a key without the right, all are trapped."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port), "--no-access-log"]
    with (trapped / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=trapped, env=settings_of(trapped, air_gapped=air_gapped), stdout=log, stderr=log
        )
    try:
        first = next(answer(port, "/ran"))
        told = next(answer(port, "/work"))
        assert next(due for due in answer(port, "/ran") if due != first)
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert isinstance(told, dict)
    assert told["tier"] == "enterprise"
    caught = (trapped / "trap").read_text().splitlines()
    if air_gapped:
        assert caught == []
        assert "air-gapped" in told["sentence"]
        assert "air-gapped" in told["command"]
    else:
        processes = {line.split()[0] for line in caught if "127.0.0.1" in line}
        assert len(processes) >= 2, (trapped / "log").read_text()  # the application, and the command it called
