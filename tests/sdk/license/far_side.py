"""An install and the real license server in one process, with a wire between them that does what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, Table, insert, select
from starlette.testclient import TestClient

from calos_telemetry import clock
from calos_telemetry.contract.courier import read_answer, write_courier
from calos_telemetry.contract.events import Event, FeatureUsage
from calos_telemetry.contract.report import Books, VerifyAnswer, VerifyRequest, inflate
from calos_telemetry.contract.signing import digest, encode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import TransportError
from calos_telemetry.sdk.identity import Identity, load_identity
from calos_telemetry.sdk.license.courier import Courier
from calos_telemetry.sdk.license.erasing import Erasing
from calos_telemetry.sdk.license.exchange import check_receipt
from calos_telemetry.sdk.license.settling import Outcome
from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.sdk.license.verifier import Verifier
from calos_telemetry.sdk.policy.watch import FilePolicy
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.report.check import check_ledger
from calos_telemetry.sdk.report.erasures import Erasures
from calos_telemetry.sdk.report.ledger import Entry, Ledger
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Issued, Order
from calos_telemetry.server.app import create_app
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.server.verify.by_file import answer_file
from calos_telemetry.settings import ServerSettings, Settings
from calos_telemetry.store.database import open_sqlite, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.tables import features

START = 1_795_608_000_000  # 2026-11-25 12:00 UTC
DAY = 86_400_000
BOOKS = Books(recorded=1, stored=1, dropped={}, pending=0)

Server = Callable[[bytes, Mapping[str, str]], Response]
Fault = Callable[[Server, bytes, Mapping[str, str]], Response]
"""What the wire does with a request: it may ask the server, or not, and may change the answer."""

_ids = count(1)


class Clock:
    """The wall clock of this process, which stands until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def source(self) -> int:
        """Return the time in ns."""
        return self.now * 1_000_000

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Let another time hold for a while: that of the other side."""
        before, self.now = self.now, moment
        yield
        self.now = before


class FarSide:
    """A vendor: keys, books, and the license server as an application."""

    def __init__(self, home: Path) -> None:
        self.home = home
        keys.init(home, clock.now_ms())
        self.client = TestClient(create_app(ServerSettings(home=home)), base_url="http://127.0.0.1:8700")

    @property
    def vendor(self) -> Vendor:
        """Return what the server holds."""
        vendor: Vendor = self.client.app.state.vendor  # type: ignore[attr-defined]  # Starlette's, typed as a bare ASGI callable
        return vendor

    def issue(self, tier: Tier = Tier.PRO, days: int | None = 365, *, air_gapped: bool = False) -> Issued:
        """Issue a license."""
        with writing(self.vendor.store.licenses) as connection:
            order = Order(tier=tier, licensee="ACME", days=days, air_gapped=air_gapped)
            return licenses.issue(connection, self.vendor.keys, order, clock.now_ms())

    def settings(self, home: Path, tier: str, public_host: str | None = "shop.example.com") -> Settings:
        """Return the settings of an install that holds a key of ``tier`` and talks to nobody."""
        return Settings(
            home=home,
            public_host=public_host,
            server="http://127.0.0.1:9",
            vendor_key=encode_public(self.vendor.keys.root),
            license_key=None if tier == Tier.COMMUNITY else self.issue(Tier(tier)).key,
        )

    def revoke(self, issued: Issued) -> None:
        """Revoke a license."""
        with writing(self.vendor.store.licenses) as connection:
            licenses.revoke(connection, issued.id, "unpaid", clock.now_ms())

    def serve(self, body: bytes, headers: Mapping[str, str], path: str = "/verify") -> Response:
        """Answer one request."""
        answer = self.client.post(path, content=body, headers=dict(headers))
        return Response(answer.status_code, dict(answer.headers), answer.content)

    def signed(self, body: bytes, headers: Mapping[str, str], status: int, content: bytes) -> Response:
        """Return an answer of any content that the vendor's key signs."""
        signature = self.vendor.keys.answer(status, digest(body), headers["Calos-Nonce"], content)
        return Response(status, {"calos-signature": signature}, content)

    def answer(self, content: bytes) -> bytes:
        """Answer a file."""
        return answer_file(self.vendor, content, clock.now_ms())

    def features(self) -> dict[str, int]:
        """Return what the vendor has stored."""
        return counts(self.vendor.store.telemetry)


@dataclass
class Wire:
    """The wire: it notes what is sent, and each request meets the next fault, if there is one."""

    far: FarSide
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    sent: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    keys_down: bool = False
    keyring: bytes | None = None

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Carry a verification."""
        self.sent.append((body, dict(headers)))
        fault = self.faults.pop(0) if self.faults else self.always
        return self.far.serve(body, headers) if fault is None else fault(self.far.serve, body, headers)

    def erase(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Carry a request for erasure."""
        self.sent.append((body, dict(headers)))
        serve = partial(self.far.serve, path="/erase")
        fault = self.faults.pop(0) if self.faults else self.always
        return serve(body, headers) if fault is None else fault(serve, body, headers)

    def keys(self) -> bytes:
        """Carry the keyring."""
        if self.keys_down:
            raise TransportError("the server could not be reached: it is tried again")
        return self.keyring or msgspec.json.encode(self.far.vendor.keys.keyring)

    def requests(self) -> list[VerifyRequest]:
        """Return what was sent, read."""
        return [msgspec.json.decode(inflate(body), type=VerifyRequest) for body, _ in self.sent]


def down(_serve: Server, _body: bytes, _headers: Mapping[str, str]) -> Response:
    """Do not reach the server."""
    raise TransportError("the server could not be reached: it is tried again")


def lost(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
    """Reach the server, and lose its answer."""
    serve(body, headers)
    raise TransportError("the connection broke: it is tried again")


def only_without_telemetry(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
    """Let nothing through that carries a report, as a proxy with a small limit would."""
    if msgspec.json.decode(inflate(body), type=VerifyRequest).telemetry is not None:
        raise TransportError("the connection broke: it is tried again")
    return serve(body, headers)


class NearSide:
    """An install in a directory of its own."""

    def __init__(self, home: Path, far: FarSide, license_key: str | None = None, **settings: Any) -> None:
        fields: dict[str, Any] = {
            "home": home,
            "vendor_key": encode_public(far.vendor.keys.root),
            "public_host": "shop.example.com",
        }
        self.settings = Settings(**(fields | {"license_key": license_key, "app_version": "1.0"} | settings))
        self.far = far
        self.wire = Wire(far)
        self.identity: Identity = load_identity(home)
        self.engine: Engine = open_sqlite(home / "telemetry.db", TELEMETRY, INSTALL)
        self.ledger = Ledger(self.engine)

    @property
    def verifier(self) -> Verifier:
        """Return a verifier as a process makes it that has just started."""
        return Verifier(self.settings, self.identity, self.engine, self.wire, FilePolicy(self.settings, Tier.COMMUNITY))

    @property
    def erasures(self) -> Erasures:
        """Return what was asked to be erased."""
        return Erasures(self.engine)

    @property
    def erasing(self) -> Erasing:
        """Return what asks for erasure."""
        return Erasing(self.identity, self.verifier, self.ledger, self.erasures)

    @property
    def courier(self) -> Courier:
        """Return what writes and takes the files of an air gap."""
        return Courier(self.identity, self.verifier, self.ledger, self.erasing, self.erasures)

    def export(self, *, with_telemetry: bool = True) -> bytes:
        """Return what a person carries to the vendor."""
        return write_courier(self.courier.export(with_telemetry=with_telemetry, books=BOOKS)[0])

    def take(self, content: bytes) -> str:
        """Take what a person brought back."""
        return self.courier.take(read_answer(content))

    def verify(self, *, with_telemetry: bool = True) -> Outcome:
        """Verify now."""
        return self.verifier.verify(with_telemetry=with_telemetry, books=BOOKS)

    def state(self) -> LicenseState:
        """Return what the license allows now."""
        return self.verifier.state(clock.now_ms())

    def use(self, *names: str) -> None:
        """Drain one use of each of the features."""
        happened: list[Event] = [FeatureUsage(feature=name) for name in names]
        with writing(self.engine) as connection:
            arrived = [Stored(f"{next(_ids):032x}", clock.now_ms(), it) for it in happened]
            store_events(connection, self.identity.install_id, arrived)

    def plant(self, table: Table, row: dict[str, Any]) -> None:
        """Put a row into the database that no obfuscator has seen."""
        with writing(self.engine) as connection:
            connection.execute(insert(table), {"install_id": self.identity.install_id, **row})

    def states(self) -> list[str]:
        """Return the states of the ledger, oldest first."""
        return [entry.state for entry in self.ledger.oldest_first()]


def counts(engine: Engine) -> dict[str, int]:
    """Return how often each feature was used."""
    with engine.connect() as connection:
        rows = connection.execute(select(features.c.feature, features.c.usage_count))
        return {row.feature: row.usage_count for row in rows}


def answer_of(response: Response) -> VerifyAnswer:
    """Read an answer."""
    return msgspec.json.decode(response.body, type=VerifyAnswer)


def broken_findings(side: NearSide) -> list[str]:
    """Return what does not hold in the ledger."""
    keys = side.verifier.keys
    assert keys is not None

    def receipt_of(entry: Entry) -> object:
        assert entry.receipt is not None
        return check_receipt(entry.receipt, entry.body, side.identity, entry.number, keys)

    found = check_ledger(side.ledger.oldest_first(), receipt_of, clock.now_ms())
    return [finding.sentence for finding in found if not finding.ok]
