"""The public face: few names, pinned; importing it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import calos_telemetry

NAMES = {
    "CalosTelemetryError",
    "LicenseMiddleware",
    "Settings",
    "Telemetry",
    "TelemetryMiddleware",
    "__version__",
    "feature",
    "track_choice",
    "track_error",
    "track_feature",
    "track_transaction",
}
HEAVY = (
    "sqlalchemy",
    "alembic",
    "cryptography",
    "urllib3",
    "starlette",
    "flask",
    "django",
    "click",
    "jinja2",
    "altair",
)
LIGHT_MODULES = (
    "calos_telemetry",
    "calos_telemetry.sdk.middleware.wsgi",
    "calos_telemetry.sdk.viewer.asgi",
    "calos_telemetry.sdk.viewer.wsgi",
)


def loaded_by(code: str) -> list[str]:
    """Return which heavy packages a fresh interpreter has loaded after ``code``."""
    check = f"import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_public_names_are_pinned() -> None:
    """What an application may rely on is this list, at most twelve names, and each of them is there."""
    assert set(calos_telemetry.__all__) == NAMES
    assert len(calos_telemetry.__all__) <= 12
    assert list(calos_telemetry.__all__) == sorted(calos_telemetry.__all__)
    assert all(hasattr(calos_telemetry, name) for name in NAMES)


def test_importing_the_request_path_is_light() -> None:
    """Neither the package nor a middleware nor the operator's pages load the database, cryptography or the network."""
    assert loaded_by("import " + ", ".join(LIGHT_MODULES)) == []


def test_creating_telemetry_and_recording_is_light() -> None:
    """An application that starts and answers loads nothing heavy on the thread that answers."""
    code = """
import tempfile, threading
threading.Thread.start = lambda self: None  # the background thread may load what it needs
from pathlib import Path
from calos_telemetry import Settings, Telemetry, track_feature
with tempfile.TemporaryDirectory() as home:
    telemetry = Telemetry(Settings(home=Path(home), public_host="shop.example.com"))
    assert track_feature(None, "pos_transaction", {"status": "completed"})
    telemetry.pipeline.spool.close()
"""
    assert loaded_by(code) == []


def test_the_typing_marker_is_shipped() -> None:
    """Applications are type-checked against us: the marker lies in the package."""
    assert Path(calos_telemetry.__file__).with_name("py.typed").is_file()
