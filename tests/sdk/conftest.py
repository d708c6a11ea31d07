"""A telemetry object on a temporary home, and a look at what it stored."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from calos_telemetry import Settings, Telemetry
from calos_telemetry.store.tables import events
from tests.sdk.license.far_side import FarSide

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


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarSide]:
    """Run a vendor who issues licenses."""
    side = FarSide(tmp_path_factory.mktemp("vendor"))
    with side.client:
        yield side


@pytest.fixture
def licensed(tmp_path: Path, issuer: FarSide) -> Iterator[Callable[..., Telemetry]]:
    """Make the telemetry of installs that hold a real key of the named tier."""
    made: list[Telemetry] = []

    def make(tier: str, **given: Any) -> Telemetry:
        made.append(Telemetry(issuer.settings(tmp_path / tier, tier, **given)))
        return made[-1]

    yield make
    for telemetry in made:
        telemetry.close()
        assert not telemetry.failures
