"""The life of a telemetry object: it always comes into being, knows its license, and is found by who needs it."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import LicenseMiddleware, Settings, Telemetry, TelemetryMiddleware, track_feature
from calos_telemetry.clock import now_ms
from calos_telemetry.contract.license import License
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import StateError
from calos_telemetry.sdk import telemetry as module
from calos_telemetry.sdk.record.own_work import THREAD
from calos_telemetry.server import keys

from .conftest import HOST

NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Vendor:
    """A vendor's keys, on the disk as `server init` makes them."""

    made: keys.VendorKeys

    @property
    def public(self) -> str:
        return encode_public(self.made.root)

    def key(self, tier: Tier) -> str:
        whole = License(
            v=1, id="a" * 32, tier=tier, features=[], domains=[HOST], issued_at=now_ms(), expires_at=None, air_gapped=False
        )  # fmt: skip
        return self.made.license_key(whole)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    return Vendor(keys.init(tmp_path_factory.mktemp("vendor"), now_ms()))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", public_host=HOST, server=NOWHERE)


@pytest.fixture
def made() -> Iterator[Callable[[Settings | None], Telemetry]]:
    """Create telemetry objects and close them afterwards."""
    kept: list[Telemetry] = []

    def make(settings: Settings | None = None) -> Telemetry:
        kept.append(Telemetry(settings))
        return kept[-1]

    yield make
    for telemetry in kept:
        telemetry.close()


Make = Callable[[Settings | None], Telemetry]


def answer_through(telemetry: Telemetry) -> tuple[int, str, str]:
    """Ask an application behind both middlewares; return status, text and tier."""
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("hello"))])
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)
    answer = TestClient(app, base_url=f"http://{HOST}").get("/")
    return answer.status_code, answer.text, answer.headers["X-License-Tier"]


def home_is_a_file(home: Path) -> None:
    home.touch()


def home_is_below_a_file(home: Path) -> None:
    home.parent.rmdir()
    home.parent.touch()


def secret_is_damaged(home: Path) -> None:
    home.mkdir(0o700)
    (home / "secret").touch(0o600)


def secret_is_open_to_all(home: Path) -> None:
    home.mkdir(0o700)
    (home / "secret").write_bytes(b"s" * 32)


def spool_is_a_file(home: Path) -> None:
    home.mkdir(0o700)
    (home / "spool").touch()


@pytest.mark.parametrize(
    "spoil", [home_is_a_file, home_is_below_a_file, secret_is_damaged, secret_is_open_to_all, spool_is_a_file]
)
def test_a_home_that_cannot_be_used_costs_the_telemetry_only(
    vendor: Vendor, tmp_path: Path, made: Make, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    """One warning, one count; the application answers, and its license key still proves Pro."""
    home = tmp_path / "below" / "home"
    home.parent.mkdir()
    spoil(home)
    with caplog.at_level(logging.WARNING, "calos_telemetry"):
        telemetry = made(
            Settings(
                home=home, public_host=HOST, server=NOWHERE, license_key=vendor.key(Tier.PRO), vendor_key=vendor.public
            )
        )
        assert answer_through(telemetry) == (200, "hello", "pro")
        assert not track_feature(None, "pos_transaction")
    assert len(caplog.records) == 1
    assert "the application is not affected" in caplog.text
    assert telemetry.failures.total() == 1
    assert telemetry.troubles()[0] == telemetry.problem
    with pytest.raises(StateError):
        telemetry.flush()


@pytest.mark.parametrize(
    ("name", "value"),
    [("CALOS_DRAIN_SECONDS", "soon"), ("TELEMETRY_DISABLED", "perhaps"), ("CALOS_LICENSE_SERVER", "nowhere")],
)
def test_a_bad_environment_costs_the_telemetry_only(
    *,
    vendor: Vendor,
    tmp_path: Path,
    made: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
) -> None:
    """One warning that names the variable; the application answers, license and operator's token hold, no file is made."""
    for variable, good in {
        "CALOS_HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "CALOS_OPERATOR_TOKEN": "hunter2",
        "CALOS_LICENSE_KEY": vendor.key(Tier.PRO),
        "CALOS_VENDOR_KEY": vendor.public,
        name: value,
    }.items():
        monkeypatch.setenv(variable, good)
    with caplog.at_level(logging.WARNING, "calos_telemetry"):
        telemetry = made(None)
        assert answer_through(telemetry) == (200, "hello", "pro")
    assert [name in record.getMessage() for record in caplog.records] == [True]
    assert telemetry.settings.operator_token == "hunter2"
    assert not list(tmp_path.iterdir())


def test_whatever_else_goes_wrong_the_application_starts(
    settings: Settings, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error nobody thought of, in the middle of the wiring, is counted and passed over."""
    monkeypatch.setattr(module, "Spool", lambda _path: 1 / 0)
    telemetry = made(settings)
    assert telemetry.failures == {"ZeroDivisionError": 1}
    assert answer_through(telemetry)[:2] == (200, "hello")


def test_a_damaged_database_takes_no_license_away(vendor: Vendor, settings: Settings, made: Make) -> None:
    """With a database that is no database the license key proves Pro all the same, and events are still spooled."""
    settings.home.mkdir(mode=0o700)
    (settings.home / "telemetry.db").write_bytes(b"this is no database" * 100)
    telemetry = made(replace(settings, license_key=vendor.key(Tier.PRO), vendor_key=vendor.public))
    assert answer_through(telemetry) == (200, "hello", "pro")
    assert telemetry.pipeline is not None
    assert telemetry.pipeline.spool.books.recorded == 1


def test_the_first_answer_waits_for_no_database(settings: Settings, made: Make) -> None:
    """The license is read without opening the database, so that no request waits for its migration."""
    telemetry = made(settings)
    assert telemetry.license.tier is Tier.COMMUNITY
    assert not (settings.home / "telemetry.db").exists()


def test_a_damaged_license_key_is_community_with_a_reason(vendor: Vendor, settings: Settings, made: Make) -> None:
    """A key that was cut or changed proves nothing; the warning says so, and telemetry goes on."""
    key = vendor.key(Tier.PRO)
    damaged = key.replace(key.split("\n")[2], "A" * 64)
    telemetry = made(replace(settings, license_key=damaged, vendor_key=vendor.public))
    assert telemetry.license.tier is Tier.COMMUNITY
    assert telemetry.license.warning
    assert telemetry.track_feature(None, "pos_transaction")


@pytest.mark.parametrize(("tier", "recorded"), [(Tier.ENTERPRISE, False), (Tier.PRO, True), (None, True)])
def test_switching_off_needs_a_proven_enterprise_license(
    *,
    vendor: Vendor,
    settings: Settings,
    made: Make,
    caplog: pytest.LogCaptureFixture,
    tier: Tier | None,
    recorded: bool,
) -> None:
    """TELEMETRY_DISABLED=true stops recording for Enterprise; for anybody else it is said once that it has no effect."""
    key = vendor.key(tier) if tier else None
    with caplog.at_level(logging.WARNING, "calos_telemetry"):
        telemetry = made(replace(settings, telemetry_disabled=True, license_key=key, vendor_key=vendor.public))
        assert [telemetry.track_feature(None, "pos_transaction") for _ in range(3)] == [recorded] * 3
    assert len([record for record in caplog.records if "has no effect" in record.getMessage()]) == recorded
    assert (telemetry.install.policy.note is not None) is recorded


def test_an_enterprise_key_of_another_vendor_switches_nothing_off(
    vendor: Vendor, settings: Settings, made: Make, tmp_path: Path
) -> None:
    """A key that somebody signed for themselves proves nothing: telemetry stays on."""
    stranger = Vendor(keys.init(tmp_path / "stranger", now_ms()))
    key = stranger.key(Tier.ENTERPRISE)
    telemetry = made(replace(settings, telemetry_disabled=True, license_key=key, vendor_key=vendor.public))
    assert telemetry.track_feature(None, "pos_transaction")


def test_no_thread_before_the_first_record(settings: Settings, made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating telemetry, asking for the license and refusing a development host start no thread; where the system
    gives none, recording goes on, and each record tries again."""
    started: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        started.append(thread.name)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    telemetry = made(replace(settings, public_host="localhost"))
    assert telemetry.license.tier is Tier.COMMUNITY
    assert not telemetry.track_feature(None, "pos_transaction")
    assert started == []
    other = made(replace(settings, home=settings.home / "other"))
    assert other.track_feature(None, "pos_transaction")
    assert other.track_feature(None, "pos_transaction")
    assert started == [THREAD, THREAD]
    assert other.troubles() == ["it could not start its thread: RuntimeError (2 times)"]


def test_a_full_spool_is_drained_before_its_time(
    settings: Settings, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When more records of this process wait than the limit, they are drained; then again only after as many more."""
    monkeypatch.setattr("calos_telemetry.sdk.telemetry._FULL", 1_000)
    telemetry = made(settings)
    telemetry._schedule.stop()
    for _ in range(1_000):
        telemetry.track_feature(None, "pos_transaction")
    telemetry._look_after_drain()
    assert telemetry._install is None
    telemetry.track_feature(None, "pos_transaction")
    telemetry._look_after_drain()
    assert telemetry.install.books().stored == 1_001
    telemetry.track_feature(None, "pos_transaction")
    telemetry._look_after_drain()
    assert telemetry.install.books().pending == 1


def test_the_license_is_read_again_whatever_became_of_the_verification(
    settings: Settings, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The background refreshes the license state also when verifying failed."""
    telemetry = made(settings)
    before = telemetry.license
    monkeypatch.setattr(telemetry.install, "verify_if_due", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        telemetry._verify()
    assert telemetry.license is not before


class Hostile(Exception):  # noqa: N818 - named for what it is
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_a_failure_is_counted_also_when_it_has_no_text(settings: Settings, made: Make) -> None:
    """The boundary looks at nothing of a stranger's exception but its kind and its plain arguments."""
    telemetry = made(settings)
    telemetry.swallow(Hostile(object()))
    assert telemetry.failures == {"Hostile": 1}
    assert telemetry.troubles() == ["telemetry failed 1 times: Hostile"]


def test_the_newest_living_telemetry_is_the_latest(settings: Settings, tmp_path: Path) -> None:
    """Without a request the newest telemetry is meant; when it is gone, the one before it, and nothing keeps it alive."""
    first = Telemetry(replace(settings, home=tmp_path / "first"))
    second = Telemetry(replace(settings, home=tmp_path / "second"))
    assert module.latest_telemetry() is second
    gone = weakref.ref(second)
    second.close()
    del second
    gc.collect()
    assert gone() is None
    assert module.latest_telemetry() is first
    first.close()


def test_many_objects_leak_nothing(settings: Settings) -> None:
    """Telemetry objects that are dropped leave no entry behind that a fork would have to walk."""
    gc.collect()
    before = len(module._living)
    for _ in range(50):
        Telemetry(settings)
    gc.collect()
    assert len(module._living) == before


def test_one_hook_for_all_forks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks of a fork cannot be taken back, so no object registers one."""
    monkeypatch.setattr(os, "register_at_fork", lambda **_: 1 / 0)
    telemetry = Telemetry(settings)
    assert telemetry.problem is None
    telemetry.close()


FAILS_AND_ENDS = """
import sys
from pathlib import Path
from calos_telemetry import Settings, Telemetry, track_error
telemetry = Telemetry(Settings(home=Path(sys.argv[1]), public_host="shop.example.com"))
assert not track_error(None, None)
assert telemetry.books().dropped == {"failed": 1}
"""


def test_what_a_short_program_could_not_record_is_told(settings: Settings, made: Make) -> None:
    """A program that ends before the first second is over leaves word of what it dropped, like one that goes on."""
    subprocess.run([sys.executable, "-c", FAILS_AND_ENDS, str(settings.home)], check=True, timeout=60)
    later = made(settings)
    later.flush()
    assert later.install.books().dropped == {"failed": 1}
