"""The license server with ClickHouse behind it: what has a receipt arrives, once, whatever is killed in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
import msgspec
import pytest
from sqlalchemy import Engine, create_engine, func, select, text
from starlette.testclient import TestClient
from tests import postgres
from tests.clickhouse import Node
from tests.server.clickhouse_fixtures import fresh, started
from tests.server.install import Install, report

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.erasure import parse_erasure
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.errors import StoreError
from calos_telemetry.server import keys
from calos_telemetry.server.app import create_app
from calos_telemetry.server.intake import mover, outbox
from calos_telemetry.server.intake.mover import Mover
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.tables import aggregates, features

ROWS = 4  # of one report: one of each kind


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    """Run a cluster of two shards."""
    yield from started(2)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Return the URL of a PostgreSQL."""
    binaries = postgres.bin_directory()
    if binaries is None:
        pytest.skip(postgres.NEEDS)
    with postgres.server(binaries) as url:
        yield url


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def settings(request: pytest.FixtureRequest, nodes: list[Node], tmp_path: Path) -> ServerSettings:
    """Return how a license server is set up whose books are in either database, and its reports in ClickHouse."""
    keys.init(tmp_path / "vendor", now_ms())
    url = None
    if request.param == "PostgreSQL":
        url = _new_database(request.getfixturevalue("postgresql"))
    return ServerSettings(home=tmp_path / "vendor", database_url=url, telemetry_url=fresh(nodes))


def _new_database(url: str) -> str:
    admin = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS books WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE books"))
    admin.dispose()
    return url.rpartition("/")[0] + "/books"


@contextmanager
def running(settings: ServerSettings) -> Iterator[tuple[TestClient, Vendor]]:
    """Run a license server whose mover moves only when the test says so."""
    app = create_app(settings)
    try:
        yield TestClient(app), app.state.vendor
    finally:
        app.state.vendor.close()


def mover_of(vendor: Vendor) -> Mover:
    """Return the mover of a server that has one."""
    assert vendor.store.mover is not None
    return vendor.store.mover


def stored(vendor: Vendor, install_id: str | None = None) -> tuple[int, int]:
    """Return the rows of features and of aggregates that a question sees."""
    counts = []
    with vendor.store.fleet.connect() as connection:
        for table in (features, aggregates):
            query = select(func.count()).select_from(table)
            counts.append(
                connection.scalar(query if install_id is None else query.where(table.c.install_id == install_id))
            )
    return int(counts[0] or 0), int(counts[1] or 0)


def in_the_books(engine: Engine) -> int:
    """Return the rows of features beside the receipts."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(features)) or 0


def test_a_report_waits_with_its_receipt_and_is_moved_once(settings: ServerSettings) -> None:
    """Reports of several installs travel together; nothing stays behind, nothing is in two places."""
    with running(settings) as (client, vendor):
        installs = [Install(vendor=vendor, client=client) for _ in range(3)]
        assert [one.verify(report()).telemetry.code for one in installs] == ["ACCEPTED"] * 3
        assert (stored(vendor), outbox.waiting(vendor.store.telemetry)) == ((0, 0), 3)
        assert [mover_of(vendor).move(), mover_of(vendor).move()] == [3, 0]
        assert outbox.waiting(vendor.store.telemetry) == 0
        alone = stored(vendor, installs[0].install_id)
        assert min(alone) > 0
        assert stored(vendor) == (3 * alone[0], 3 * alone[1])
        assert in_the_books(vendor.store.telemetry) == 0


def test_a_mover_that_is_killed_before_the_outbox_is_cleared_repeats_itself(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows were there already and a further report came in between: each row counts once."""

    class Killed(BaseException):
        """What no handler catches, as little as a signal."""

    with running(settings) as (client, vendor):
        one, two = (Install(vendor=vendor, client=client) for _ in range(2))
        one.verify(report())
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "remove", lambda *_: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                mover_of(vendor).move()
        before = stored(vendor)
        two.verify(report())
        assert mover_of(vendor).move() == 2
        assert stored(vendor) == (2 * before[0], 2 * before[1])


def _on_shard(shard: int, nodes: list[Node]) -> str:
    """Return an install that belongs to a shard."""
    with clickhouse_connect.get_client(host="127.0.0.1", port=nodes[0].http) as client:
        query = f"SELECT leftPad(lower(hex(number)), 32, '0') AS id FROM numbers(99) WHERE cityHash64(id) % 2 = {shard} LIMIT 1"
        return str(client.query(query).result_rows[0][0])


def test_reports_wait_while_clickhouse_is_down(settings: ServerSettings, nodes: list[Node]) -> None:
    """Licenses and receipts go on; what waited arrives when the servers are back, one of them killed hard."""
    with running(settings) as (client, vendor):
        one = Install(vendor=vendor, client=client, install_id=_on_shard(1, nodes))
        nodes[1].kill()
        try:
            assert one.verify(report()).telemetry.code == "ACCEPTED"
            with pytest.raises(StoreError, match="ClickHouse"):
                mover_of(vendor).move()
            assert outbox.waiting(vendor.store.telemetry) == 1
        finally:
            nodes[1].start()
        assert mover_of(vendor).move() == 1
        assert min(stored(vendor, one.install_id)) > 0


def test_a_server_starts_while_clickhouse_is_down(settings: ServerSettings, nodes: list[Node]) -> None:
    """Licenses go first: the server starts, says that a report waits, and makes the tables once it can."""
    nodes[0].kill()
    try:
        app = create_app(settings)
        client, vendor = TestClient(app), app.state.vendor
        one = Install(vendor=vendor, client=client)
        assert one.verify(report()).telemetry.code == "ACCEPTED"
        assert client.get("/status").json()["reports_waiting"] == 1
    finally:
        nodes[0].start()
    assert mover_of(vendor).move() == 1
    assert min(stored(vendor, one.install_id)) > 0
    assert client.get("/status").json()["reports_waiting"] == 0
    vendor.close()


def test_erasure_reaches_clickhouse_and_what_waits(settings: ServerSettings) -> None:
    """The receipt counts the rows in both places; none comes back, and those of others stay."""
    with running(settings) as (client, vendor):
        one, other = (Install(vendor=vendor, client=client) for _ in range(2))
        for each in (one, other):
            each.verify(report())
        mover_of(vendor).move()
        one.verify(report(number=2))
        receipt = msgspec.json.decode(one.ask_to_erase().content, type=SignedReceipt)
        assert parse_erasure(receipt.text).rows == 2 * ROWS
        assert one.ask_to_erase().content == msgspec.json.encode(receipt)
        assert mover_of(vendor).move() == 0
        assert one.verify(report(number=3)).telemetry.code == "REFUSED"
        assert stored(vendor, one.install_id) == (0, 0)
        assert min(stored(vendor, other.install_id)) > 0


def test_an_erasure_that_clickhouse_cannot_do_is_not_receipted(settings: ServerSettings, nodes: list[Node]) -> None:
    """The install is told to try again, and its telemetry is as it was."""
    with running(settings) as (client, vendor):
        one = Install(vendor=vendor, client=client)
        one.verify(report())
        nodes[1].kill()
        try:
            assert one.ask_to_erase().status_code == 503
        finally:
            nodes[1].start()
        assert mover_of(vendor).move() == 1
        assert min(stored(vendor, one.install_id)) > 0


def test_several_movers_take_turns(settings: ServerSettings) -> None:
    """Two servers move at the same time: each report is moved by one of them."""
    with running(settings) as (client, vendor), running(settings) as (_, other):
        for _ in range(5):
            Install(vendor=vendor, client=client).verify(report())
        movers = [mover_of(vendor), mover_of(other)]
        with ThreadPoolExecutor(len(movers)) as threads:
            moved = list(threads.map(Mover.move, movers))
        assert sorted(moved) == [0, 5]


def _then(function: Callable[..., None], done: threading.Event) -> Callable[..., None]:
    def both(*given: object) -> None:
        function(*given)
        done.set()

    return both


def test_the_running_server_moves_by_itself(settings: ServerSettings) -> None:
    """Nobody has to ask; the page of the vendor then shows the fleet."""
    arrived = threading.Event()
    app = create_app(settings)
    vendor: Vendor = app.state.vendor
    assert vendor.store.clickhouse is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "remove", _then(outbox.remove, arrived))
        with TestClient(app) as client:
            one = Install(vendor=vendor, client=client)
            one.verify(report())
            assert arrived.wait(30)
            assert min(stored(vendor, one.install_id)) > 0


def test_an_insert_has_an_end(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows the reports have, so many are unpacked at a time; a single larger report goes alone."""
    with running(settings) as (client, vendor):
        for _ in range(3):
            Install(vendor=vendor, client=client).verify(report())
        monkeypatch.setattr(mover, "ROWS_PER_INSERT", 2 * ROWS)
        assert mover_of(vendor).move() == 2
        monkeypatch.setattr(mover, "ROWS_PER_INSERT", 1)
        assert [mover_of(vendor).move() for _ in range(2)] == [1, 0]


def test_too_many_waiting_reports_are_sent_back(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ClickHouse away for long the outbox does not grow for ever: installs keep their reports."""
    monkeypatch.setattr(outbox, "HOLDS", 2)
    with running(settings) as (client, vendor):
        one, two, three = (Install(vendor=vendor, client=client) for _ in range(3))
        assert [each.verify(report()).telemetry.code for each in (one, two, three)] == ["ACCEPTED", "ACCEPTED", "RETRY"]
        mover_of(vendor).move()
        assert three.verify(report()).telemetry.code == "ACCEPTED"
