"""Telemetry of a public install on a temporary home."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calos_telemetry import Settings, Telemetry


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    made = Telemetry(Settings(home=tmp_path / "home", public_host="shop.example.com", server="http://127.0.0.1:9"))
    yield made
    made.close()
