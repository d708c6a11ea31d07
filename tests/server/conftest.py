"""A vendor with keys and empty databases, and its license server in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.install import Install

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Issued, Order
from calos_telemetry.server.app import create_app
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.database import writing


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a server home with keys."""
    keys.init(tmp_path / "vendor", now_ms())
    return tmp_path / "vendor"


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    """Run the license server, as seen from loopback."""
    app = create_app(ServerSettings(home=home))
    with TestClient(app, base_url="http://127.0.0.1:8700", client=("127.0.0.1", 50000)) as client:
        yield client


@pytest.fixture
def vendor(client: TestClient) -> Vendor:
    """Return what the running server holds."""
    vendor = client.app.state.vendor  # type: ignore[attr-defined]  # Starlette's, typed as a bare ASGI callable
    assert isinstance(vendor, Vendor)
    return vendor


@pytest.fixture
def issue(vendor: Vendor) -> Callable[..., Issued]:
    """Issue a license, a Pro one of a year by default."""

    def issue(**changes: Any) -> Issued:
        at = changes.pop("at", now_ms())
        fields: dict[str, Any] = {"tier": Tier.PRO, "licensee": "ACME", "days": 365} | changes
        order = Order(**fields)
        with writing(vendor.store.licenses) as connection:
            return licenses.issue(connection, vendor.keys, order, at)

    return issue


@pytest.fixture
def install(vendor: Vendor, client: TestClient) -> Callable[..., Install]:
    """Make an install of this vendor."""
    return lambda **changes: Install(vendor=vendor, client=client, **changes)
