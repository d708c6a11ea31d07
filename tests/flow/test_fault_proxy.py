"""Between an install and a license server process stands a proxy that drops, doubles, delays, reorders and half-closes.

``CALOS_FAULT_ROUNDS`` (``make faults``) scales how many exchanges meet it.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from calos_telemetry import Settings
from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.store.database import open_sqlite, writing
from calos_telemetry.store.migrate import TELEMETRY
from tests.fault_table import ROUNDS, SEED
from tests.sdk.license.world import rows_of

from .conftest import HOST, Vendor
from .fault_proxy import FAULTS, FaultProxy, passes

EXCHANGES = 4 * max(ROUNDS, len(FAULTS))
_PATHS = ("/api/pos/:id", "/api/users/:id", "/")


@pytest.fixture
def proxy(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with vendor.server() as url, closing(FaultProxy(url)) as between:
        yield between


def happen(install: Install, chance: random.Random) -> None:
    """Store what one drain brings, of today and of the last days."""
    path = chance.choice(_PATHS)
    events: list[Event] = [
        ApiRequest(
            method="GET", path=path, status=chance.choice((200, 404)), duration_us=chance.randrange(1, 9_000_000)
        ),
        FeatureUsage(feature=chance.choice(("pos_transaction", "forum_post"))),
        ErrorEvent(category="database", name="OperationalError", message="no such table", path=path),
    ]
    at = now_ms() - chance.randrange(3) * MS_PER_DAY
    with writing(install.engine) as connection:
        store_events(
            connection, install.identity.install_id, [Stored(secrets.token_hex(16), at, event) for event in events]
        )


def test_the_vendors_rows_end_up_equal_to_the_installs(proxy: FaultProxy, vendor: Vendor, tmp_path: Path) -> None:
    """Whatever the proxy does to each exchange: in the end the vendor's rows are the install's, each is receipted, the
    license never wavered, and what was delayed longest changes nothing when it arrives after everything else."""
    key = vendor.license()
    settings = Settings(
        home=tmp_path / "install", server=proxy.url, vendor_key=vendor.key, license_key=key, public_host=HOST
    )
    install = Install(settings)
    chance = random.Random(SEED)  # noqa: S311 - a run that failed can be repeated
    faults = [FAULTS[n % len(FAULTS)] for n in range(EXCHANGES)]
    chance.shuffle(faults)
    for proxy.fault in faults:
        happen(install, chance)
        install.verify()
        assert install.license_state().tier == "pro"
    held_back = list(proxy.late)
    proxy.fault = passes
    for _ in range(3):  # what waits, what is new, and a check that brings nothing
        assert install.verify().ok
    assert not install.ledger.pending()
    proxy.late = held_back
    proxy.deliver_late()

    stored = open_sqlite(vendor.home / "telemetry.db", TELEMETRY)
    try:
        mine, theirs = (rows_of(engine, install.identity.install_id) for engine in (install.engine, stored))
        assert theirs == mine
    finally:
        stored.dispose()
    assert all(finding.ok for finding in install.check_ledger()), install.check_ledger()
    assert set(proxy.dealt) == {fault.__name__ for fault in FAULTS}
    install.close()
