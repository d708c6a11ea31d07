"""The license server on a real PostgreSQL: several servers on one database give what one gives."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient
from tests.postgres import NEEDS, bin_directory, server
from tests.server.install import Install, report

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.erasure import parse_erasure
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Order
from calos_telemetry.server.app import create_app
from calos_telemetry.server.intake import tombstone
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.database import writing

SERVERS = 3
ROUNDS = 4


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of a PostgreSQL."""
    binaries = bin_directory()
    if binaries is None:
        pytest.skip(NEEDS)
    with server(binaries) as started:
        yield started


@pytest.fixture
def fleet(url: str, tmp_path: Path) -> Iterator[list[tuple[TestClient, Vendor]]]:
    """Run several license servers, each with pools of its own, on one new database."""
    admin = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS fleet WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE fleet"))
    admin.dispose()
    keys.init(tmp_path / "vendor", now_ms())
    settings = ServerSettings(home=tmp_path / "vendor", database_url=url.rpartition("/")[0] + "/fleet")
    apps = [create_app(settings) for _ in range(SERVERS)]
    yield [(TestClient(app), app.state.vendor) for app in apps]
    for app in apps:
        app.state.vendor.close()


def test_several_servers_share_one_database(fleet: list[tuple[TestClient, Vendor]]) -> None:
    """One install asks all of them at once: it is enrolled once, and every lease has a number of its own, without a gap."""
    client, vendor = fleet[0]
    with writing(vendor.store.licenses) as connection:
        issued = licenses.issue(connection, vendor.keys, Order(tier=Tier.PRO, licensee="ACME", days=30), now_ms())
    first = Install(vendor=vendor, client=client, license_key=issued.key)
    same = [
        Install(vendor=vendor, client=each, license_key=issued.key, install_id=first.install_id, key=first.key)
        for each, _ in fleet
    ]
    with ThreadPoolExecutor(SERVERS) as threads:
        answers = list(threads.map(lambda one: [one.verify() for _ in range(ROUNDS)], same))
    numbers = [[answer.license.lease.number for answer in mine if answer.license.lease is not None] for mine in answers]
    assert sorted(number for mine in numbers for number in mine) == list(range(1, SERVERS * ROUNDS + 1))
    assert all(mine == sorted(mine) for mine in numbers)


def test_a_report_and_its_erasure_hold_on_every_server(fleet: list[tuple[TestClient, Vendor]]) -> None:
    """What one server took in is a duplicate at the second; what the third erased is refused by all."""
    (client, vendor), (second, _), (third, other) = fleet
    one = Install(vendor=vendor, client=client)
    assert one.verify(telemetry := report()).telemetry.code == "ACCEPTED"
    one.client = second
    assert one.verify(telemetry).telemetry.code == "DUPLICATE"
    receipt = tombstone.erase(other.store.telemetry, other.keys, one.install_id, "a" * 64, now_ms())
    assert parse_erasure(receipt.text).rows > 0
    one.client = third
    for each, _ in fleet:
        one.client = each
        assert one.verify(report(number=2)).telemetry.code == "REFUSED"
    assert third.get("/status").json()["status"] == "ok"


def test_licenses_and_telemetry_are_schemas_of_their_own(fleet: list[tuple[TestClient, Vendor]]) -> None:
    """Whoever may read the telemetry's schema finds no licensee there."""
    _, vendor = fleet[0]
    query = text("SELECT table_name FROM information_schema.tables WHERE table_schema = :name")
    with vendor.store.telemetry.connect() as connection:
        telemetry = set(connection.scalars(query, {"name": "calos_vendor"}))
        books = set(connection.scalars(query, {"name": "calos_licenses"}))
    assert {"licenses", "installs", "nonces"} <= books
    assert not {"licenses", "installs", "nonces"} & telemetry
    assert {"receipts", "erasures", "telemetry_features"} <= telemetry
