"""The license server dies while the shop is busy: the shop does not notice, and nothing is lost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from .conftest import COMMAND, Vendor, run

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop"
sys.path.insert(0, str(SHOP))

import traffic  # noqa: E402 - it lies beside the shop


@pytest.fixture
def shop(install_env: dict[str, str], tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the shop as a process; yield its URL and its environment."""
    env = {**install_env, "SHOP_DATABASE": str(tmp_path / "shop.db"), "SHOP_PACE": "0.01", "PYTHONPATH": str(SHOP)}
    env["CALOS_LICENSE_SERVER"] = "http://127.0.0.1:9"
    process = subprocess.Popen(
        [sys.executable, "-m", "shop", "--port", "0"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("Shop on ").split()[0], env
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def answers(url: str) -> dict[tuple[str, str, int], int]:
    return dict(traffic.run(url, 2.0, 11).requests)


def test_a_dead_license_server_changes_nothing_for_the_shop(vendor: Vendor, shop: tuple[str, dict[str, str]]) -> None:
    """With the server killed by `kill -9`, the shop answers as before, keeps its paid features and its books; once the
    server is back, the very bytes that waited are receipted."""
    url, env = shop
    server = subprocess.Popen(
        [COMMAND, "server", "run", "--port", "0"], env=vendor.env, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = server.stdout.readline().removeprefix("License server on ").split()[0]
    online = {**env, "CALOS_LICENSE_SERVER": address}
    with_server = answers(url)
    run("flush", env=online)
    assert json.loads(run("verify", "--json", env=online))["tier"] == "pro"

    server.kill()
    server.wait()
    server.stdout.close()
    assert answers(url).keys() == with_server.keys()
    answer = urllib3.request("GET", url + "/health")
    assert (answer.status, answer.headers["X-License-Tier"], answer.headers["X-License-Valid"]) == (200, "pro", "true")
    run("flush", env=online)
    assert "could not be reached" in run("verify", env=online, code=1)
    waiting = json.loads(run("report", "list", "--json", env=online))[0]
    assert waiting["state"] == "sealed"
    assert json.loads(run("status", "--json", env=online))["tier"] == "pro"

    port = address.rpartition(":")[2]
    again = subprocess.Popen(
        [COMMAND, "server", "run", "--port", port], env=vendor.env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert again.stdout is not None
        again.stdout.readline()
        outcome = json.loads(run("verify", "--json", env=online))
        assert (outcome["ok"], outcome["digest"]) == (True, waiting["digest"])
        run("report", "check", env=online)
    finally:
        again.terminate()
        again.wait(20)
        assert again.stdout is not None
        again.stdout.close()
    books = json.loads(run("status", "--json", env=online))["books"]
    assert books["recorded"] == books["stored"] + sum(books["dropped"].values()) + books["pending"]
