"""Fixtures for pytest: ``pytest_plugins = ["calos_telemetry.testing.plugin"]`` in a ``conftest.py``.

``telemetry_events``: what the application records during the test.  ``canaries``: marks to be planted wherever the
application takes input; at the end of the test nothing of them may be found in anything that telemetry keeps or sends.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calos_telemetry.errors import StateError
from calos_telemetry.sdk.telemetry import latest_telemetry
from calos_telemetry.testing.canaries import leaks
from calos_telemetry.testing.events import Captured, capture_events
from calos_telemetry.testing.marks import Marks


@pytest.fixture
def telemetry_events() -> Iterator[Captured]:
    """Lend the events that the application records during the test."""
    with capture_events() as captured:
        yield captured


@pytest.fixture
def canaries(request: pytest.FixtureRequest) -> Iterator[Marks]:
    """Lend marks of every kind, this test's own; it fails when a piece of one is found in what telemetry keeps."""
    marks = Marks(request.node.nodeid)
    yield marks
    telemetry = latest_telemetry()
    if telemetry is None:
        raise StateError("no telemetry was created in this process: import the application first")
    if not list(marks):
        pytest.fail("no mark was planted: canaries.of('search box', 'email') gives one")
    found = leaks(telemetry, marks)
    if found:
        pytest.fail("telemetry kept what the test planted:\n" + "\n".join(found))
