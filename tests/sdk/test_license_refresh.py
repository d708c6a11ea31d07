"""Every process of an install comes to say what changed on the disk, without asking the disk in a request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from calos_telemetry import LicenseMiddleware, Telemetry
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license import standing
from tests.sdk.license.far_side import FarSide

from .conftest import HOST


def worker(home: Path, issuer: FarSide, key: Path) -> tuple[Telemetry, TestClient]:
    """Return one process of a shop whose license key is in a file, as far as the license goes."""
    telemetry = Telemetry(replace(issuer.settings(home, "community"), license_key=str(key)))
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("ok"))])
    app.add_middleware(LicenseMiddleware, telemetry=telemetry)
    return telemetry, TestClient(app, headers={"host": HOST})


def said(client: TestClient) -> str:
    return client.get("/").headers["x-license-tier"]


def test_other_processes_follow_within_a_minute(tmp_path: Path, issuer: FarSide) -> None:
    """A renewed key is said by every process once its background has looked, which it does once a minute."""
    key = tmp_path / "license.key"
    key.write_text(issuer.issue(Tier.PRO).key)
    workers = [worker(tmp_path / "home", issuer, key) for _ in range(2)]
    assert [said(client) for _, client in workers] == ["pro", "pro"]
    key.write_text(issuer.issue(Tier.ENTERPRISE).key)
    workers[0][0].clear_license()
    assert [said(client) for _, client in workers] == ["enterprise", "pro"]
    (job,) = (job for job in workers[1][0]._schedule._jobs if job.name == "verify the license")
    job.work()
    assert job.every <= 60
    assert [said(client) for _, client in workers] == ["enterprise", "enterprise"]
    for telemetry, _ in workers:
        telemetry.close()
        assert not telemetry.failures


def test_a_request_never_asks_the_disk(tmp_path: Path, issuer: FarSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the license was read, requests are answered with it, even where it could not be read again."""
    key = tmp_path / "license.key"
    key.write_text(issuer.issue(Tier.PRO).key)
    telemetry, client = worker(tmp_path / "home", issuer, key)
    assert said(client) == "pro"
    asked: list[object] = []
    monkeypatch.setattr(standing, "state_on_disk", asked.append)
    assert [said(client) for _ in range(3)] == ["pro"] * 3
    assert asked == []
    telemetry.close()


def test_where_telemetry_is_off_a_renewed_key_is_read_all_the_same(tmp_path: Path, issuer: FarSide) -> None:
    """A home that cannot be used records nothing; its license is read again once a minute, beginning with the first request."""
    (tmp_path / "home").write_text("not a directory")
    key = tmp_path / "license.key"
    key.write_text(issuer.issue(Tier.PRO).key)
    telemetry, client = worker(tmp_path / "home", issuer, key)
    assert telemetry.pipeline is None
    assert said(client) == "pro"
    assert telemetry._schedule._thread is not None
    key.write_text(issuer.issue(Tier.ENTERPRISE).key)
    (job,) = telemetry._schedule._jobs
    job.work()
    assert job.every <= 60
    assert said(client) == "enterprise"
    telemetry.close()
