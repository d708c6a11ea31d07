"""Through the real intake: whatever happens on the way, the vendor's rows end up equal to the install's."""

from __future__ import annotations

import random
import string
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sdk.license.world import (
    START,
    Send,
    Shop,
    Trouble,
    World,
    answering,
    down,
    installs,
    lost,
    vendor_world,
    well,
)

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.contract.fields import MAX_MESSAGE
from calos_telemetry.contract.report import MAX_ROWS, MAX_WIRE
from calos_telemetry.sdk.license.exchange import check_receipt
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.sdk.report.check import Finding, check_ledger
from calos_telemetry.sdk.report.ledger import Entry

Make = Callable[..., Shop]
world, shop = vendor_world, installs


def doubled(send: Send, body: bytes, headers: Mapping[str, str]) -> Response:
    """Deliver twice, as a proxy that repeats; the second answer comes back."""
    send(body, headers)
    return send(body, headers)


WIRES: tuple[Trouble, ...] = (well, well, down, lost, doubled, answering(502))

paths = st.sampled_from(("/api/pos/:id", "/api/users/:id", "/", "/api/forum/:id/posts"))
requests = st.builds(
    ApiRequest,
    method=st.sampled_from(("GET", "POST")),
    path=paths,
    status=st.sampled_from((200, 201, 404, 500)),
    duration_us=st.integers(1, 9_000_000),
    request_bytes=st.integers(0, 900),
    response_bytes=st.integers(0, 9_000),
)
features = st.builds(FeatureUsage, feature=st.sampled_from(("pos_transaction", "forum_post", "crypto_trade")))
failures = st.builds(
    ErrorEvent,
    category=st.just("database"),
    name=st.sampled_from(("OperationalError", "TimeoutError")),
    message=st.just("no such table"),
    path=paths,
)
happenings = st.tuples(
    st.just("happen"),
    st.tuples(st.lists(st.one_of(requests, features, failures), min_size=1, max_size=5), st.integers(0, 3)),
)
sendings = st.tuples(st.just("send"), st.sampled_from(WIRES))
waits = st.tuples(st.just("wait"), st.integers(1, 30 * MS_PER_HOUR))
STEPS = st.lists(st.one_of(happenings, happenings, sendings, sendings, waits), max_size=20)


@pytest.fixture(scope="module")
def vendor() -> Iterator[World]:
    """Return one vendor for all examples."""
    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home) / "vendor")
        yield world
        world.close()


def step(shop: Shop, what: str, how: Any) -> None:
    """Take one step."""
    if what == "happen":
        events: tuple[list[Event], int] = how
        shop.happen(*events[0], at=shop.now - events[1] * MS_PER_DAY)
    elif what == "send":
        shop.verify(how)
    else:
        shop.world.now += how


def checked(shop: Shop) -> list[Finding]:
    """Check the ledger as ``calos-telemetry report check`` does."""
    keys = shop.verifier.keys
    assert keys is not None

    def receipt_of(entry: Entry) -> object:
        assert entry.receipt is not None
        return check_receipt(entry.receipt, entry.body, shop.identity, entry.number, keys)

    return list(check_ledger(shop.ledger.oldest_first(), receipt_of, shop.now))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_the_vendors_rows_end_up_equal_to_the_installs(vendor: World, steps: list[tuple[str, Any]]) -> None:
    """Any sequence of changes, reports, lost answers, repeats and outages ends with equal rows on both sides, nothing left
    waiting, and a ledger whose digests, receipts and links all hold."""
    vendor.use()
    vendor.now, vendor.skew = START, 0
    with tempfile.TemporaryDirectory() as home:
        shop = Shop(vendor, Path(home), None)
        try:
            for what, how in steps:
                step(shop, what, how)
            vendor.now += MS_PER_DAY
            assert shop.verify().ok
            assert shop.arrived() == shop.rows()
            assert not shop.ledger.pending()
            assert all(finding.ok for finding in checked(shop)), [one for one in checked(shop) if not one.ok]
        finally:
            shop.close()


def test_more_than_a_report_holds_travels_in_several(world: World, shop: Make) -> None:
    """First rows by far more than a report may hold, 25,000 of them under one revision, and then more bytes than the wire
    takes: every body keeps to the limits, and all of it arrives."""
    install = shop()
    by_day = ApiRequest(method="GET", path="/", status=200, response_bytes=1)
    install.happen(*[by_day] * 5_000, every=MS_PER_DAY)  # a sparse log, imported at once
    noise = random.Random(1)  # noqa: S311 - the same noise every time
    failures = [failure(noise) for _ in range(4_000)]
    for _ in range(3):  # so often that their texts are no longer rare
        install.happen(*failures)
    assert sum(map(len, install.rows().values())) > 25_000

    for _ in range(3):
        assert install.verify().ok
        world.now += MS_PER_DAY
    assert install.arrived() == install.rows()
    assert len(install.reports()) >= 3
    assert max(map(len, install.wire.sent)) <= MAX_WIRE
    assert all(entry.rows <= MAX_ROWS for entry in install.reports())


def failure(noise: random.Random) -> ErrorEvent:
    """Return a failure unlike any other, whose text hardly packs."""
    words = ["".join(noise.choices(string.ascii_lowercase, k=7)) for _ in range(55)]
    name = words[0].title() + words[1].title()
    return ErrorEvent(category="database", name=name, message=" ".join(words)[:MAX_MESSAGE], path="/api/pos/:id")
