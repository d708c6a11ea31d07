"""The pytest plugin, as an integrator uses it: in a project of its own, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
pytest_plugins = ["calos_telemetry.testing.plugin"]
"""

SHOP = """
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from calos_telemetry import Settings, Telemetry, TelemetryMiddleware

HOME = Path(__file__).with_name("state")
telemetry = Telemetry(Settings(home=HOME, public_host="shop.example.com", server="http://127.0.0.1:9"))

def search(request):
    if "leak" in request.query_params:
        (HOME / "debug.txt").write_text(request.query_params["q"])
    return PlainTextResponse("found")

app = TelemetryMiddleware(Starlette(routes=[Route("/search", search)]), telemetry)
client = TestClient(app, base_url="https://shop.example.com")
"""

TESTS = """
from shop import client

def test_clean(canaries, telemetry_events):
    client.get("/search", params={"q": canaries.of("search box", "email")})
    assert [event["path"] for event in telemetry_events.of("api_request")] == ["/search"]

def test_leaking(canaries):
    client.get("/search", params={"q": canaries.of("search box", "email"), "leak": "1"})

def test_idle(canaries):
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {"conftest.py": CONFTEST, "shop.py": SHOP, "test_shop.py": TESTS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_canaries_prove_and_disprove(project: Path) -> None:
    """A clean application passes; one that keeps what was typed fails, with what was found and where."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout
    assert "3 passed, 2 errors" in said, said
    assert "email planted in search box, found in" in said
    assert "debug.txt" in said
    assert "no mark was planted" in said
    assert "ERROR test_shop.py::test_leaking" in said
