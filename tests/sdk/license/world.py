"""Both sides in one process, each with a clock of its own: the real license server behind a wire that can fail."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from starlette.testclient import TestClient

from calos_telemetry import clock
from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.events import ApiRequest, Event
from calos_telemetry.contract.histogram import Histogram, merge
from calos_telemetry.contract.report import Books
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import TransportError
from calos_telemetry.sdk.identity import Identity, load_identity
from calos_telemetry.sdk.license.offline import proven_tier, read_license
from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.sdk.license.verifier import Outcome, Verifier
from calos_telemetry.sdk.policy.watch import FilePolicy
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.report.ledger import Entry, Ledger
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.sdk.rollup.performance import read_histogram
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Issued, Order
from calos_telemetry.server.app import create_app
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.settings import ServerSettings, Settings
from calos_telemetry.store.database import open_sqlite, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.tables import aggregates, errors, features, performance
from calos_telemetry.store.vendor_tables import licenses as license_table

HOST = "shop.example.com"
START = 1_790_000_000_000  # 2026-09-21
REPORTED = (features, errors, performance, aggregates)
_LEFT_OUT = frozenset({"revision", "install_id", "message", "stack"})
NO_BOOKS = Books(recorded=0, stored=0, dropped={}, pending=0)

Rows = dict[str, set[tuple[Any, ...]]]

Send = Callable[[bytes, Mapping[str, str]], Response]
Trouble = Callable[[Send, bytes, Mapping[str, str]], Response]
"""What the network does to one exchange: it may call ``send`` (the vendor answers) or not, and change what comes back."""


def well(send: Send, body: bytes, headers: Mapping[str, str]) -> Response:
    """Deliver both ways."""
    return send(body, headers)


def down(_send: Send, _body: bytes, _headers: Mapping[str, str]) -> Response:
    """Deliver nothing."""
    raise TransportError("the server could not be reached: it is tried again")


def lost(send: Send, body: bytes, headers: Mapping[str, str]) -> Response:
    """Let the vendor commit, and lose its answer."""
    send(body, headers)
    raise TransportError("the answer was lost: it is tried again")


def answering(status: int, body: bytes = b"") -> Trouble:
    """Answer in the vendor's place, unsigned."""
    return lambda _send, _body, _headers: Response(status, {}, body)


@dataclass
class Wire:
    """The way to the vendor.  ``trouble`` decides each exchange; ``sent`` keeps the bodies."""

    world: World
    trouble: Trouble = well
    sent: list[bytes] = field(default_factory=list)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Response:
        self.sent.append(body)
        return self.trouble(self._post, body, headers)

    def erase(self, body: bytes, headers: Mapping[str, str]) -> Response:
        raise NotImplementedError

    def keys(self) -> bytes:
        if self.trouble is down:
            raise TransportError("the server could not be reached: it is tried again")
        with self.world.vendor_time():
            return self.world.client.get("/keys").content

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Response:
        with self.world.vendor_time():
            answer = self.world.client.post("/verify", content=body, headers=dict(headers))
        return Response(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )


class World:
    """A vendor, and the true time, which only the vendor is sure to know."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = START
        self.skew = 0
        self.use()
        keys.init(home, self.now)
        self.client = TestClient(create_app(ServerSettings(home=home)), client=("127.0.0.1", 50000))
        self.vendor: Vendor = self.client.app.state.vendor  # type: ignore[attr-defined]  # Starlette's
        for engine in (self.vendor.store.licenses, self.vendor.store.telemetry):
            hasten(engine)

    def use(self) -> None:
        """Make every clock of this process tell the time of this world."""
        clock.set_source(lambda: (self.now + self.skew) * 1_000_000)

    @contextmanager
    def vendor_time(self) -> Iterator[None]:
        """Let the vendor see the true time."""
        skew, self.skew = self.skew, 0
        try:
            yield
        finally:
            self.skew = skew

    def issue(self, tier: Tier = Tier.PRO, days: int | None = 365) -> Issued:
        """Issue a license."""
        order = Order(tier=tier, licensee="ACME", days=days)
        with writing(self.vendor.store.licenses) as connection:
            return licenses.issue(connection, self.vendor.keys, order, self.now)

    def revoke(self, issued: Issued) -> None:
        """Revoke a license."""
        with writing(self.vendor.store.licenses) as connection:
            licenses.revoke(connection, issued.id, "not paid", self.now)

    def reinstate(self, issued: Issued) -> None:
        """Take a revocation back."""
        this_one = license_table.c.license_id == issued.id
        with writing(self.vendor.store.licenses) as connection:
            connection.execute(update(license_table).where(this_one).values(revoked_at=None, revoked_why=None))

    def close(self) -> None:
        """Let the databases and the clock go."""
        self.vendor.close()
        self.client.close()
        clock.set_source(None)


class Shop:
    """An install: its home, its database, its verifier."""

    def __init__(self, world: World, home: Path, license_key: str | None = None) -> None:
        self.world = world
        self.wire = Wire(world)
        self.settings = Settings(
            home=home,
            public_host=HOST,
            license_key=license_key,
            vendor_key=encode_public(world.vendor.keys.root),
            app_version="1.2.3.4",
        )
        self.identity: Identity = load_identity(home)
        self.engine = open_sqlite(home / "telemetry.db", TELEMETRY, INSTALL)
        hasten(self.engine)
        self.ledger = Ledger(self.engine)
        self.verifier = self.another_process()

    def another_process(self) -> Verifier:
        """Return the verifier of another process of this install."""
        policy = FilePolicy(self.settings, proven_tier(read_license(self.settings)[0]))
        return Verifier(self.settings, self.identity, self.engine, self.wire, policy)

    def restart(self, **settings: Any) -> None:
        """Start anew, with other settings where given."""
        self.settings = replace(self.settings, **settings)
        self.verifier = self.another_process()

    @property
    def now(self) -> int:
        """Return what this machine's clock says."""
        return clock.now_ms()

    def state(self) -> LicenseState:
        """Return the license state that holds now."""
        return self.verifier.state(self.now)

    def verify(self, trouble: Trouble = well, *, with_telemetry: bool = True) -> Outcome:
        """Verify over a wire that behaves as ``trouble`` says."""
        self.wire.trouble = trouble
        try:
            return self.verifier.verify(with_telemetry=with_telemetry, books=NO_BOOKS)
        finally:
            self.wire.trouble = well

    def happen(self, *events: Event, at: int | None = None, every: int = 0) -> None:
        """Store events as one drain does: the first ``at`` (unix ms), each next one ``every`` ms earlier."""
        begin = self.now if at is None else at
        stored = [Stored(secrets.token_hex(16), begin - n * every, one) for n, one in enumerate(events)]
        with writing(self.engine) as connection:
            store_events(connection, self.identity.install_id, stored)

    def reports(self) -> list[Entry]:
        """Return the ledger's entries with telemetry, oldest first."""
        return [entry for entry in self.entries() if entry.rows]

    def entries(self) -> list[Entry]:
        """Return the whole ledger, oldest first."""
        return list(self.ledger.oldest_first())

    def rows(self) -> Rows:
        """Return the rows that may leave."""
        return rows_of(self.engine, self.identity.install_id)

    def arrived(self) -> Rows:
        """Return the rows that the vendor holds of this install."""
        return rows_of(self.world.vendor.store.telemetry, self.identity.install_id)

    def close(self) -> None:
        """Let the database go."""
        self.engine.dispose()


def request(path: str = "/api/pos/:id", **changes: Any) -> ApiRequest:
    """Return an answered request."""
    fields: dict[str, Any] = {"method": "GET", "path": path, "status": 200, "duration_us": 1_500} | changes
    return ApiRequest(**fields)


def rows_of(engine: Engine, install_id: str) -> Rows:
    """Return an install's values in the four reported tables, without revisions.

    Performance is summed by day; message and stack of a failure are left out, because rare ones stay at the install.
    """
    found: Rows = {}
    with engine.connect() as connection:
        for table in (features, errors, aggregates):
            columns = [column for column in table.columns if column.name not in _LEFT_OUT]
            found[table.name] = {
                tuple(row) for row in connection.execute(select(*columns).where(table.c.install_id == install_id))
            }
        found["performance"] = _by_day(
            connection.execute(select(performance).where(performance.c.install_id == install_id)).all()
        )
    return found


def _by_day(rows: Any) -> set[tuple[Any, ...]]:
    days: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        key = (row.period - row.period % MS_PER_DAY, row.metric, row.method, row.path, row.status)
        days.setdefault(key, []).append(row)
    return {(*key, *_summed(hours)) for key, hours in days.items()}


def _summed(hours: list[Any]) -> tuple[int, int, int, tuple[tuple[int, int], ...]]:
    histogram: Histogram = {}
    for hour in hours:
        merge(histogram, read_histogram(hour.histogram))
    counts = sum(hour.count for hour in hours), sum(hour.total for hour in hours), max(hour.max for hour in hours)
    return (*counts, tuple(sorted(histogram.items())))


def hasten(engine: Engine) -> None:
    """Wait for no disk: what these tests show does not depend on power cuts."""
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    engine.dispose()


@pytest.fixture(name="world")
def vendor_world(tmp_path: Path) -> Iterator[World]:
    """Return a vendor with keys and empty databases, and its true time."""
    made = World(tmp_path / "vendor")
    yield made
    made.close()


@pytest.fixture(name="shop")
def installs(world: World, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Return a maker of installs of that vendor."""
    made: list[Shop] = []

    def make(license_key: str | None = None) -> Shop:
        made.append(Shop(world, tmp_path / f"install{len(made)}", license_key))
        return made[-1]

    yield make
    for one in made:
        one.close()
