"""An install, a vendor, and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.license.far_side import Clock, FarSide, NearSide

from calos_telemetry import clock


@pytest.fixture
def time() -> Iterator[Clock]:
    """Stop the clock of both sides at noon; a test moves it."""
    stopped = Clock()
    clock.set_source(stopped.source)
    yield stopped
    clock.set_source(None)


@pytest.fixture
def far(tmp_path: Path, time: Clock) -> Iterator[FarSide]:
    """Run a vendor's license server."""
    del time  # it stands still before the keys are made
    side = FarSide(tmp_path / "vendor")
    with side.client:
        yield side


@pytest.fixture
def make(tmp_path: Path, far: FarSide) -> Iterator[Callable[..., NearSide]]:
    """Make installs of this vendor, Pro unless a ``license_key`` is given."""
    made: list[NearSide] = []

    def make_one(name: str = "install", **settings: Any) -> NearSide:
        given = settings.pop("license_key", None) or far.issue().key
        made.append(NearSide(tmp_path / name, far, given, **settings))
        return made[-1]

    yield make_one
    for side in made:
        side.engine.dispose()


@pytest.fixture
def near(make: Callable[..., NearSide]) -> NearSide:
    """Return an install with a Pro license and one use of a feature."""
    side = make()
    side.use("pos_transaction")
    return side
