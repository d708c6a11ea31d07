"""Realistic traffic for the shop, over HTTP: what is asked is decided by a seed, what was answered is counted exactly.

    sent = run("http://127.0.0.1:8000", seconds=30, seed=1, on_progress=print)
    sent.requests["GET", "/api/pos/:id", 200]

Visitors come as a day's rhythm pressed into the given seconds: quiet at both ends, busy in the middle.  Each visitor has
a browser and one errand (buying, studying, talking ...) and runs through it request by request; a few are crawlers and
scanners.  A request counts when its answer has arrived whole, so the counts can be compared with what was recorded, to
the unit.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import urllib3

WORKERS = 12
VISITORS_PER_SECOND = 8.0
UNMATCHED = "(unmatched)"

_USERS = 40
_ITEMS = 60
_THREADS = ("opening-hours", "new-themes", "shipping-to-canada", "feature-requests", "tax-season")
_THEMES = ("dark", "dark", "dark", "light", "ocean", "ocean", "forest", "high-contrast", "no-such-theme")
_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
)
_CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_SCANNER = "Mozilla/5.0 zgrab/0.x"
_SCANNED = (
    "/.env",
    "/wp-login.php",
    "/.git/config",
    "/phpmyadmin/",
    "/admin/config.php",
    "/cgi-bin/luci",
    "/backup.zip",
)


class ShopUnreachableError(Exception):
    """The shop does not answer; the message says what to do."""


@dataclass(slots=True)
class Sent:
    """What was sent, as the client saw it: answered requests by (method, route template, status), and body bytes."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    request_bytes: int = 0
    response_bytes: int = 0

    @property
    def total(self) -> int:
        """Return how many requests were answered."""
        return self.requests.total()

    def add(self, other: Sent) -> None:
        """Add what another visitor sent."""
        self.requests.update(other.requests)
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a visitor: ``:id`` in the route template stands for the values, in their order."""

    method: str
    route: str
    values: tuple[object, ...] = ()
    body: Any = None
    path: str | None = None  # where no route exists for it
    query: str = ""

    @property
    def target(self) -> str:
        """Return the path to ask for."""
        return (self.path or self.route.replace(":id", "%s") % self.values) + self.query


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who arrives at a moment (0 to 1 of the whole run), with a browser and a list of requests."""

    arrival: float
    agent: str
    steps: tuple[Step, ...]


Progress = Callable[[float], object]
"""Called after each visitor with the share of the visitors who are done, 0 to 1."""


def plan(seconds: float, seed: int) -> list[Visitor]:
    """Return the visitors of a run: the same ones for the same seed, in the order of their arrival."""
    dice = random.Random(seed)
    count = max(1, round(seconds * VISITORS_PER_SECOND))
    arrivals = sorted(_moment(dice) for _ in range(count))
    return [_visitor(dice, arrival) for arrival in arrivals]


def run(base_url: str, seconds: float, seed: int, on_progress: Progress | None = None) -> Sent:
    """Send the traffic of ``plan(seconds, seed)`` and return what was answered.

    Raises :class:`ShopUnreachableError` as soon as a request finds nobody; the visitors under way finish first.
    """
    sent, started = Sent(), time.monotonic()
    stop = threading.Event()
    with (
        urllib3.PoolManager(maxsize=WORKERS, block=True, retries=False, timeout=30) as pool,
        ThreadPoolExecutor(WORKERS, "visitor") as workers,
    ):
        visits = [
            workers.submit(_visit, pool, base_url.rstrip("/"), visitor, started + visitor.arrival * seconds, stop)
            for visitor in plan(seconds, seed)
        ]
        try:
            for done, visit in enumerate(as_completed(visits), start=1):
                sent.add(visit.result())
                if on_progress is not None:
                    on_progress(done / len(visits))
        except BaseException:
            _cancel(visits, stop)
            raise
    return sent


def _cancel(visits: Sequence[Future[Sent]], stop: threading.Event) -> None:
    stop.set()
    for visit in visits:
        visit.cancel()


def _visit(pool: urllib3.PoolManager, base_url: str, visitor: Visitor, at: float, stop: threading.Event) -> Sent:
    sent = Sent()
    # A server closes the connection behind an unhandled exception: reusing it would be a race, and a retry would be
    # counted twice.
    headers = {"User-Agent": visitor.agent, "Connection": "close"}
    stop.wait(max(0.0, at - time.monotonic()))
    for step in visitor.steps:
        if stop.is_set():
            break
        answer = _ask(pool, base_url, step, headers, sent)
        if step.route == "/login" and answer.status == 200:  # noqa: PLR2004
            headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
    return sent


def _ask(
    pool: urllib3.PoolManager, base_url: str, step: Step, headers: dict[str, str], sent: Sent
) -> urllib3.BaseHTTPResponse:
    body = None if step.body is None else json.dumps(step.body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    try:
        answer = pool.request(step.method, base_url + step.target, body=body, headers=headers | kind, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise ShopUnreachableError(
            f"the shop at {base_url} does not answer ({type(error).__name__}): "
            "start it with `python -m shop --port N` in examples/shop, or give its URL"
        ) from error
    sent.requests[step.method, step.route, answer.status] += 1
    sent.request_bytes += len(body or b"")
    sent.response_bytes += len(answer.data)
    return answer


# -- who comes and what they want ------------------------------------------------------------------------------------


def _moment(dice: random.Random) -> float:
    """Draw a moment of the day: night is quiet, noon is busy."""
    while True:
        moment = dice.random()
        if dice.random() < 0.2 + 0.8 * math.sin(math.pi * moment) ** 2:
            return moment


def _visitor(dice: random.Random, arrival: float) -> Visitor:
    errands = (_buy, _browse, _study, _trade, _talk, _keep_books, _crawl, _scan, _stumble)
    (errand,) = dice.choices(errands, weights=(22, 20, 12, 10, 14, 8, 5, 5, 4))
    agent = {_crawl: _CRAWLER, _scan: _SCANNER}.get(errand) or dice.choice(_BROWSERS)
    return Visitor(arrival, agent, tuple(errand(dice)))


def _log_in(dice: random.Random) -> tuple[int, Step]:
    user = min(_USERS, 1 + int(dice.expovariate(0.1)))  # a few users come often
    return user, Step("POST", "/login", body={"email": f"user{user}@shop.example", "password": "open-sesame"})


def _buy(dice: random.Random) -> Iterator[Step]:
    yield _log_in(dice)[1]
    for _ in range(dice.randint(1, 5)):
        sale = {
            "amount": round(dice.lognormvariate(4, 1.3), 2),
            "payment_method": dice.choice(("cash", "card", "crypto")),
        }
        yield Step("POST", "/api/pos/transactions", body=sale)
        yield Step("GET", "/api/pos/:id", (dice.randint(1, 40),))


def _browse(dice: random.Random) -> Iterator[Step]:
    yield Step("GET", "/", query=dice.choice(("", "", "?utm_source=letter&email=user3@shop.example")))
    if dice.random() < 0.4:  # noqa: PLR2004
        yield Step("GET", "/pricing")
    for _ in range(dice.randint(1, 6)):
        yield Step("GET", "/api/marketplace/items/:id", (dice.randint(1, _ITEMS + 3),))
    if dice.random() < 0.5:  # noqa: PLR2004
        yield _log_in(dice)[1]
        yield Step("POST", "/api/marketplace/theme", body={"theme": dice.choice(_THEMES)})
    item = dice.randint(1, _ITEMS)
    yield Step("POST", "/graphql", body={"query": f"{{ item(id: {item}) {{ name price }} }}"})


def _study(dice: random.Random) -> Iterator[Step]:
    user, step = _log_in(dice)
    yield step
    for _ in range(dice.randint(1, 3)):
        yield Step("GET", "/api/users/:id/transcripts/:id", (user, dice.choice((1, 1, 2, 2, 3, 4, 5, 9))))


def _trade(dice: random.Random) -> Iterator[Step]:
    user, step = _log_in(dice)
    wallet = f"0x{random.Random(user).getrandbits(160):040x}"
    yield step
    yield Step("POST", "/api/crypto/:id/withdraw", (wallet,), {"amount": dice.randint(1, 600_000)})


def _talk(dice: random.Random) -> Iterator[Step]:
    thread = dice.choice(_THREADS)
    yield Step("GET", "/forum/:id", (thread,))
    if dice.random() < 0.7:  # noqa: PLR2004
        yield _log_in(dice)[1]
    text = "call me at +1 415 555 0137 " * dice.randint(0, 20)  # empty: refused; not logged in: refused
    yield Step("POST", "/forum/:id/posts", (thread,), {"text": text})
    yield Step("GET", "/forum/:id", (thread,))


def _keep_books(dice: random.Random) -> Iterator[Step]:
    yield _log_in(dice)[1]
    for _ in range(dice.randint(1, 2)):
        yield Step("POST", "/api/integrations/quickbooks/sync")


def _crawl(dice: random.Random) -> Iterator[Step]:
    yield Step("GET", UNMATCHED, path="/robots.txt")
    yield Step("GET", "/")
    for thread in dice.sample(_THREADS, 3):
        yield Step("GET", "/forum/:id", (thread,))


def _scan(dice: random.Random) -> Iterator[Step]:
    for path in dice.sample(_SCANNED, 4):
        yield Step("GET", UNMATCHED, path=path)
    yield Step("POST", UNMATCHED, path="/xmlrpc.php")


def _stumble(dice: random.Random) -> Iterator[Step]:
    """Do what goes wrong: a wrong password, a form filled in badly, an old link, a wallet that is no more."""
    yield Step("POST", "/login", body={"email": "user1@shop.example", "password": "letmein"})
    yield Step("POST", "/api/pos/transactions", body={"amount": -5, "payment_method": "card"})
    yield Step("GET", "/forum/:id", (dice.choice(("old-thread", "lost+found")),))
    yield Step("POST", "/api/crypto/:id/withdraw", ("0x" + "0" * 40,), {"amount": 1})
    yield Step("GET", "/health")


def main() -> None:
    """Run from the command line and print the counts."""
    parser = argparse.ArgumentParser(description="Send realistic traffic to the example shop.")
    parser.add_argument("base_url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        sent = run(arguments.base_url, arguments.seconds, arguments.seed)
    except ShopUnreachableError as error:
        sys.exit(str(error))
    for (method, route, status), count in sorted(sent.requests.items()):
        sys.stdout.write(f"{count:6} {status} {method} {route}\n")
    sys.stdout.write(f"{sent.total:6} requests, {sent.request_bytes:,} bytes sent, {sent.response_bytes:,} received\n")


if __name__ == "__main__":
    main()
