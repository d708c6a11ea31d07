"""The example shop: every route answers as described, who is asking is known, and the traffic driver counts exactly."""

from __future__ import annotations

import importlib
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
import uvicorn
from sqlalchemy import select
from starlette.requests import Request
from starlette.testclient import TestClient

from calos_telemetry.contract.events import ApiRequest, from_json
from calos_telemetry.store.tables import events

SHOP = Path(__file__).parents[2] / "examples/shop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Import the shop's `main` module with its own empty database, at full speed."""
    home = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_DATABASE", str(home / "shop.db"))
        patch.setenv("SHOP_PACE", "0")
        patch.setenv("CALOS_HOME", str(home / "calos"))
        patch.setenv("CALOS_PUBLIC_HOST", "shop.example")
        patch.setenv("CALOS_LICENSE_SERVER", "http://127.0.0.1:9")  # nobody listens there
        patch.syspath_prepend(str(SHOP))
        main = importlib.import_module("shop.main")
        yield main
        main.telemetry.close()
    sys.modules["shop.database"].engine.dispose()
    for name in [name for name in sys.modules if name.split(".")[0] in {"shop", "traffic"}]:
        del sys.modules[name]


@pytest.fixture
def client(shop: ModuleType) -> Iterator[TestClient]:
    """Come as a visitor without a session."""
    with TestClient(shop.app, base_url="http://shop.example", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def member(client: TestClient) -> TestClient:
    """Log in as user 7."""
    assert client.post("/login", json={"email": "user7@shop.example", "password": "open-sesame"}).status_code == 200
    return client


def test_sale_is_recorded_and_shown(client: TestClient) -> None:
    """A sale gets a number under which it can be read again; an unknown number is 404."""
    sale = client.post("/api/pos/transactions", json={"amount": 12.5, "payment_method": "card"})
    assert (sale.status_code, sale.json()["status"]) == (201, "completed")
    assert client.get(f"/api/pos/{sale.json()['id']}").json()["amount"] == 12.5
    assert client.get("/api/pos/999999").status_code == 404


def test_sale_fails_as_sales_do(client: TestClient) -> None:
    """A large amount on a card is declined (402), a form filled in badly refused (422)."""
    assert client.post("/api/pos/transactions", json={"amount": 901, "payment_method": "card"}).status_code == 402
    assert client.post("/api/pos/transactions", json={"amount": -1, "payment_method": "card"}).status_code == 422
    assert client.post("/api/pos/transactions", json={"amount": 1, "payment_method": "shells"}).status_code == 422


def test_transcripts(client: TestClient) -> None:
    """Transcripts are read by user and number; the damaged one ends in an exception that nobody catches."""
    assert client.get("/api/users/3/transcripts/2").json()["grades"] == "A,B,A"
    assert client.get("/api/users/3/transcripts/99").status_code == 404
    assert client.get("/api/users/3/transcripts/5").status_code == 500


def test_damaged_transcript_holds_what_telemetry_must_scrub(shop: ModuleType) -> None:
    """The message of the unhandled exception holds an e-mail address and a path, as such messages do."""
    with TestClient(shop.app) as client, pytest.raises(ValueError, match=r"/home/anna\.miller/.*user3@shop\.example"):
        client.get("/api/users/3/transcripts/5")


def test_withdrawals(client: TestClient) -> None:
    """A withdrawal lowers the balance, too much is 402, an unknown wallet 404."""
    wallet = sys.modules["shop.database"].wallet_of(9)
    assert client.post(f"/api/crypto/{wallet}/withdraw", json={"amount": 1_000}).json() == {"balance": 2_249_000}
    assert client.post(f"/api/crypto/{wallet}/withdraw", json={"amount": 9_000_000}).status_code == 402
    assert client.post("/api/crypto/0x0/withdraw", json={"amount": 1}).status_code == 404


def test_marketplace(member: TestClient) -> None:
    """Items are shown, and a member may choose one of the themes there are."""
    assert member.get("/api/marketplace/items/4").json() == {"id": 4, "name": "Item 4", "price": 6.0}
    assert member.get("/api/marketplace/items/400").status_code == 404
    assert member.post("/api/marketplace/theme", json={"theme": "ocean"}).json() == {"theme": "ocean"}
    assert member.post("/api/marketplace/theme", json={"theme": "plaid"}).status_code == 422


def test_forum(member: TestClient) -> None:
    """A member's post appears in its thread, escaped; empty posts and unknown threads are refused."""
    assert member.post("/forum/tax-season/posts", json={"text": "<b>hello"}).status_code == 201
    assert "&lt;b&gt;hello" in member.get("/forum/tax-season").text
    assert member.post("/forum/tax-season/posts", json={"text": ""}).status_code == 422
    assert member.get("/forum/nowhere").status_code == 404


def test_strangers_may_not_write(client: TestClient) -> None:
    """Posting and choosing a theme need a session; a wrong password does not give one."""
    assert client.post("/login", json={"email": "user7@shop.example", "password": "guess"}).status_code == 401
    assert client.post("/forum/tax-season/posts", json={"text": "hi"}).status_code == 401
    assert client.post("/api/marketplace/theme", json={"theme": "ocean"}).status_code == 401


def test_quickbooks_fails_in_two_ways(client: TestClient) -> None:
    """Of 35 syncs every fifth hits the database error, every seventh of the others the network error."""
    found = sorted(client.post("/api/integrations/quickbooks/sync").status_code for _ in range(35))
    assert found == [200] * 24 + [502] * 4 + [503] * 7


def test_graphql(client: TestClient) -> None:
    """The tiny query is answered; one that cannot be parsed is an error inside a 200."""

    def ask(query: str) -> dict[str, Any]:
        answer = client.post("/graphql", json={"query": query})
        assert answer.status_code == 200
        return dict(answer.json())

    assert ask("{ item(id: 2) { name price } }") == {"data": {"item": {"name": "Item 2", "price": 3.0}}}
    assert ask("{ item(id: 2000) { name } }") == {"data": {"item": None}}
    assert ask("mutation { rob }")["errors"]


def test_pages_and_health(client: TestClient) -> None:
    """The pages are HTML and the health check is JSON."""
    for page in ("/", "/pricing", "/forum/new-themes"):
        answer = client.get(page)
        assert answer.headers["content-type"].startswith("text/html")
        assert re.search("<h1>.+</h1>", answer.text)
    assert client.get("/health").json() == {"status": "ok"}


def test_who_is_asking_is_known(shop: ModuleType) -> None:
    """The middleware finds user and session by cookie and by bearer token, and neither for strangers."""
    people = sys.modules["shop.people"]
    seen: list[tuple[object, object]] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        request = Request(scope)
        seen.append((request.state.user_id, request.state.session_id))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with TestClient(shop.app) as client:
        token = client.post("/login", json={"email": "user8@shop.example", "password": "open-sesame"}).json()["token"]
    probe = TestClient(people.PeopleMiddleware(app))
    probe.get("/", headers={"authorization": f"Bearer {token}"})
    probe.get("/", headers={"cookie": f"{people.COOKIE}={token}"})
    probe.get("/", headers={"authorization": "Bearer made-up"})
    probe.get("/")
    assert seen == [(8, token), (8, token), (None, "made-up"), (None, None)]


# -- traffic ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def traffic(shop: ModuleType) -> ModuleType:
    """Import the traffic driver."""
    assert shop
    return importlib.import_module("traffic")


def test_same_seed_same_visitors(traffic: ModuleType) -> None:
    """What is asked depends on the seed alone; the rhythm of the day makes the middle busier than the ends."""
    visitors = traffic.plan(30, 1)
    assert visitors == traffic.plan(30, 1) != traffic.plan(30, 2)
    arrivals = [visitor.arrival for visitor in visitors]
    assert arrivals == sorted(arrivals)
    assert sum(0.25 < moment < 0.75 for moment in arrivals) > 0.6 * len(arrivals)


def test_traffic_reaches_every_route(shop: ModuleType, traffic: ModuleType) -> None:
    """Half a minute of traffic uses every route the shop has."""
    asked = {step.route for visitor in traffic.plan(30, 1) for step in visitor.steps} - {traffic.UNMATCHED}
    paths = shop.app.openapi()["paths"]
    assert asked == {re.sub(r"\{\w+\}", ":id", path) for path in paths}


class Serving:
    """The shop on a real port, counting on the server's side what `Sent` counts on the client's."""

    def __init__(self, app: Any) -> None:
        self.statuses: list[int] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self._app = app
        self._server = uvicorn.Server(uvicorn.Config(self._count, interface="asgi3", log_level="critical"))
        self._thread = threading.Thread(target=self._server.run, args=([self.socket],))

    async def _count(self, scope: Any, receive: Any, send: Any) -> None:
        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        await self._app(scope, receive, counting)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the shop did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.socket.close()


def test_sent_equals_what_the_shop_answered(shop: ModuleType, traffic: ModuleType) -> None:
    """Over a real port, the client's counts equal the server's to the unit, and progress ends at 1."""
    shares: list[float] = []
    with Serving(shop.app) as serving:
        sent = traffic.run(serving.url, 2, 5, shares.append)
    assert sent.total == len(serving.statuses) == sum(len(visitor.steps) for visitor in traffic.plan(2, 5))
    assert sorted(serving.statuses) == sorted(
        status for (_, _, status), count in sent.requests.items() for _ in range(count)
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert sent.request_bytes > 0
    assert sent.response_bytes > 0


def test_recorded_equals_sent(shop: ModuleType, traffic: ModuleType) -> None:
    """What telemetry stored is what the visitors sent, by method, route template and status, to the unit."""
    shop.telemetry.flush()
    before = stored_requests(shop)
    with Serving(shop.app) as serving:
        sent = traffic.run(serving.url, 2, 6)
    shop.telemetry.flush()
    expected = Counter({request: times for request, times in sent.requests.items() if request[1] != "/health"})
    assert stored_requests(shop) - before == expected  # the health check is answered and not recorded


def stored_requests(shop: ModuleType) -> Counter[tuple[str, str, int]]:
    """Count the stored requests as `Sent` does."""
    query = select(events.c.event_data).where(events.c.event_type == "api_request")
    with shop.telemetry.install.engine.connect() as connection:
        stored = [from_json("api_request", data) for data in connection.scalars(query)]
    return Counter((event.method, event.path, event.status) for event in stored if isinstance(event, ApiRequest))


def test_nothing_of_a_person_is_stored(shop: ModuleType, member: TestClient) -> None:
    """No e-mail address, phone number, wallet, file path or token of the shop's visitors is in any file of telemetry."""
    wallet = sys.modules["shop.database"].wallet_of(7)
    member.get("/api/users/7/transcripts/5")
    member.post("/forum/tax-season/posts", json={"text": "call +1 415 555 0137"})
    member.post(f"/api/crypto/{wallet}/withdraw", json={"amount": 1})
    for _ in range(35):
        member.post("/api/integrations/quickbooks/sync")
    shop.telemetry.flush()
    files = [path for path in shop.telemetry.settings.home.rglob("*") if path.is_file()]
    stored = b"\n".join(path.read_bytes() for path in files)
    assert b"quickbooks_sync" in stored
    people = (
        b"user7@",
        b"@shop.example",
        b"555 0137",
        wallet.encode(),
        b"anna.miller",
        member.cookies["shop_session"].encode(),
    )
    assert [text for text in people if text in stored] == []


def test_absent_shop_says_what_to_do(traffic: ModuleType) -> None:
    """Without a shop the driver ends at once with a sentence that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(traffic.ShopUnreachableError, match=r"does not answer .*: start it with `python -m shop"):
        traffic.run(f"http://127.0.0.1:{port}", 60, 1)
    assert time.monotonic() - began < 30
