"""Random walks of clock, network and vendor: what must hold after every step of every one of them.

``CALOS_FAULT_ROUNDS`` (``make walks``) scales how many: 100,000 in the long run, 40 in the suite.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fault_table import ROUNDS, THOROUGH
from tests.sdk.license.world import START, Send, Shop, Trouble, World, answering, down, lost, request, well

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.report import TelemetryAnswer
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.lease import KeptAnswer
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.server.admin.licenses import Issued
from calos_telemetry.server.verify import deciding
from calos_telemetry.store.database import open_sqlite
from calos_telemetry.store.migrate import INSTALL, TELEMETRY

EMPTY = "empty-install.db"
"""A database as an install begins with: made once, because the migrations take longer than a walk."""
pytestmark = pytest.mark.timeout(0 if THOROUGH else 120)

YEAR = 365 * MS_PER_DAY
OTHER_WALKS = 4 * ROUNDS
PAYING_WALKS = 670 * ROUNDS if THOROUGH else OTHER_WALKS
"""``make walks`` takes 100,000 of a paying install."""


def garbled(send: Send, body: bytes, headers: Mapping[str, str]) -> Response:
    answer = send(body, headers)
    half = len(answer.body) // 2
    return Response(answer.status, answer.headers, answer.body[:half] + b"x" + answer.body[half + 1 :])


TROUBLES: tuple[Trouble, ...] = (well, down, lost, garbled, answering(503), answering(200, b"[["), answering(403))

waits = st.tuples(st.just("wait"), st.integers(0, 20 * MS_PER_HOUR))
jumps = st.tuples(st.just("skew"), st.sampled_from((0, 0, 4 * YEAR, -4 * YEAR)))
smaller_jumps = st.tuples(st.just("skew"), st.integers(-40 * MS_PER_DAY, 40 * MS_PER_DAY))
verifications = st.tuples(st.just("verify"), st.sampled_from(TROUBLES))
replays = st.tuples(st.just("replay"), st.integers(0, 20))
others = st.sampled_from((("restart", None), ("happen", None)))
steps = st.one_of(waits, jumps, smaller_jumps, verifications, verifications, replays, others)
backups = st.sampled_from((("backup", None), ("restore", None)))
WALKS = st.lists(steps, max_size=25)
WALKS_WITH_BACKUPS = st.lists(st.one_of(steps, backups), max_size=25)


@pytest.fixture(scope="module")
def vendor() -> Iterator[World]:
    """Return one vendor for all walks; each begins at the same moment, because the vendor's keys hold for 90 days."""
    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home) / "vendor")
        open_sqlite(world.home / EMPTY, TELEMETRY, INSTALL).dispose()
        yield world
        world.close()


@contextmanager
def walking(world: World) -> Iterator[tuple[Shop, Issued]]:
    """Yield a new install whose clock is right, and its license."""
    world.use()
    world.now, world.skew = START, 0
    issued = world.issue(days=3 * 365)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "install"
        home.mkdir(mode=0o700)
        shutil.copy(world.home / EMPTY, home / "telemetry.db")
        shop = Shop(world, home, issued.key)
        try:
            yield shop, issued
        finally:
            shop.close()


class Walker:
    """Takes the steps of one walk and keeps every answer that was ever given."""

    def __init__(self, world: World, shop: Shop) -> None:
        self.world = world
        self.shop = shop
        self.answers: list[Response] = []
        self.backup = shop.settings.home.with_name("backup")

    def step(self, what: str, how: Any) -> None:
        match what:
            case "wait":
                self.world.now += how
            case "skew":
                self.world.skew = how
            case "verify":
                self.shop.verify(functools.partial(self._recorded, how))
            case "replay" if self.answers:
                old = self.answers[how % len(self.answers)]
                self.shop.verify(lambda _send, _body, _headers: old)
            case "restart":
                self.shop.restart()
            case "happen":
                self.shop.happen(request())
            case "backup":
                shutil.copytree(self.shop.settings.home, self.backup, dirs_exist_ok=True)
            case "restore" if self.backup.exists():
                self._restore()

    def _restore(self) -> None:
        """Put the whole state of an earlier moment back, as somebody does after a disk failed."""
        self.shop.engine.dispose()
        shutil.rmtree(self.shop.settings.home)
        shutil.copytree(self.backup, self.shop.settings.home)
        self.shop.restart()

    def _recorded(self, trouble: Trouble, send: Send, body: bytes, headers: Mapping[str, str]) -> Response:
        def recording(body: bytes, headers: Mapping[str, str]) -> Response:
            self.answers.append(send(body, headers))
            return self.answers[-1]

        return trouble(recording, body, headers)

    def lease(self) -> tuple[int, int]:
        """Return number and end of the lease that is kept."""
        path = self.shop.settings.home / "lease.json"
        if not path.exists():
            return (0, 0)
        body = msgspec.json.decode(path.read_bytes(), type=KeptAnswer).body
        lease = msgspec.json.decode(body)["license"]["lease"]
        return lease["number"], lease["grace_until"]


@settings(max_examples=PAYING_WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=WALKS_WITH_BACKUPS)
def test_no_walk_takes_the_tier_of_a_paying_install(vendor: World, walk: list[tuple[str, Any]]) -> None:
    """With a valid key that nobody revoked, the tier is there after every step, whatever clock, network, replays and
    restored backups do; no replay moves the lease, and nothing lets it end later than the vendor said."""
    with walking(vendor) as (shop, _):
        walker = Walker(vendor, shop)
        assert shop.state().tier is Tier.PRO
        for what, how in walk:
            before = walker.lease()
            walker.step(what, how)
            assert shop.state().tier is Tier.PRO, (what, how)
            assert shop.state().valid
            assert what in {"verify", "restore"} or walker.lease() == before
            assert walker.lease()[1] <= vendor.now + 14 * MS_PER_DAY


@settings(max_examples=OTHER_WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=WALKS)
def test_no_walk_brings_a_revoked_license_back(vendor: World, walk: list[tuple[str, Any]]) -> None:
    """Once the signed no has arrived, no outage, clock or replay of earlier answers gives the tier back."""
    with walking(vendor) as (shop, issued):
        walker = Walker(vendor, shop)
        walker.step("verify", well)
        vendor.revoke(issued)
        walker.step("verify", well)
        for what, how in walk:
            walker.step(what, how)
            assert shop.state().tier is Tier.COMMUNITY, (what, how)


@settings(max_examples=OTHER_WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=WALKS)
def test_after_every_walk_all_is_well(vendor: World, walk: list[tuple[str, Any]]) -> None:
    """However a walk went, once clock and network are right a verification is due within a period of the tier and a
    half, it succeeds, and the warning goes."""
    with walking(vendor) as (shop, _):
        walker = Walker(vendor, shop)
        shop.verifier.due(shop.now)
        for what, how in walk:
            walker.step(what, how)
            shop.verifier.due(shop.now)
        vendor.skew = 0
        vendor.now += 21 * MS_PER_DAY // 2
        assert shop.verifier.due(shop.now)
        assert shop.verify().ok
        assert shop.verify().ok
        state = shop.state()
        assert (state.tier, state.warning) == (Tier.PRO, None)
        assert not [entry for entry in shop.reports() if entry.state == "sealed"]


NOT_THE_VENDORS = SignedReceipt(text="calos-receipt-v1\nno receipt\n", kid="nobody", signature="AA")
codes = st.one_of(
    st.sampled_from(("ACCEPTED", "PARTIAL", "DUPLICATE", "NONE", "RETRY", "REFUSED")), st.text(max_size=9)
)
told = st.builds(
    TelemetryAnswer,
    code=codes,
    receipt=st.sampled_from((None, NOT_THE_VENDORS)),
    rejected=st.dictionaries(st.text(max_size=9), st.integers(0, 9), max_size=2),
)
intakes = st.one_of(told, st.sampled_from((OSError("disk"), MemoryError(), KeyError("x"), RecursionError())))


@settings(max_examples=OTHER_WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(results=st.lists(intakes, min_size=1, max_size=4))
def test_no_trouble_with_telemetry_changes_the_license_answer(
    vendor: World, results: list[TelemetryAnswer | Exception]
) -> None:
    """Refused, malformed, unreadable, answered with nonsense or with another's receipt: the license is verified, with a
    lease newer than the one before."""
    with walking(vendor) as (shop, _), mock.patch.object(deciding, "accept") as intake:
        walker = Walker(vendor, shop)
        for result in results:
            intake.side_effect = [result] * 20
            shop.happen(request())
            before = walker.lease()
            vendor.now += 7 * MS_PER_DAY
            assert shop.verify().code == "VALID"
            assert shop.state().tier is Tier.PRO
            assert walker.lease() > before
        assert not [entry for entry in shop.reports() if entry.state == "acknowledged"]
