"""A telemetry object on a temporary home, and a look at what it stored."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from calos_telemetry import Settings, Telemetry
from calos_telemetry.store.tables import events

HOST = "shop.example.com"
Stored = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    """Telemetry of a public install that talks to nobody."""
    settings = Settings(home=tmp_path / "home", public_host=HOST, server="http://127.0.0.1:9", app_version="1.0")
    made = Telemetry(settings, features={"/pos": "pos_transaction"})
    yield made
    made.close()
    assert not made.failures, made.failures


@pytest.fixture
def stored(telemetry: Telemetry) -> Stored:
    """Flush, and return the stored events as dictionaries with their type, in the order they happened."""

    def read() -> list[dict[str, Any]]:
        telemetry.flush()
        query = select(events.c.event_type, events.c.event_data).order_by(events.c.created_at, events.c.event_id)
        with telemetry.install.engine.connect() as connection:
            return [{"type": kind, **msgspec.json.decode(data)} for kind, data in connection.execute(query)]

    return read
