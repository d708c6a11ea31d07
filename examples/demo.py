"""The whole path in half a minute: a request becomes a row, a line of a signed report, a receipt, a point on a chart.

    python examples/demo.py           stays up afterwards, so that both sides can be looked at; Ctrl-C ends it
    python examples/demo.py --once    exits by itself, with 0 only if every step was verified

Real processes, real databases, real signatures: the vendor's license server, a shop that embeds the SDK, and traffic over
HTTP.  Everything lives in a new directory under the system's temporary directory, which is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import urllib3

from calos_telemetry.sdk.middleware.exclusion import HEALTH

EXAMPLES = Path(__file__).resolve().parent
sys.path.insert(0, str(EXAMPLES / "shop"))

import traffic  # noqa: E402 - it lies beside the shop

HOST = "shop.example.com"
SECONDS = 30
_COMMAND = Path(sys.executable).with_name("calos-telemetry")
_START_SECONDS = 30.0
_STOP_SECONDS = 10


class NotVerifiedError(click.ClickException):
    """A step of the demo did not hold."""


class Sides(NamedTuple):
    """Where both sides answer, and the environments they run in."""

    shop: str
    vendor: str
    shop_env: dict[str, str]
    vendor_env: dict[str, str]


@click.command()
@click.option("--once", is_flag=True, help="Exit when everything was verified.")
@click.option("--seconds", default=SECONDS, show_default=True, help="How long the traffic lasts.")
def main(once: bool, seconds: int) -> None:
    """Show the whole path, from a request to the vendor's chart."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="calos-demo-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        sides = stack.enter_context(_both_sides(home))
        sent = _drive(sides.shop, seconds)
        _collected(sides, sent)
        _proven(sides, home)
        _charted(sides)
        _say("Every step was verified.")
        _say(f"\n  the shop                {sides.shop}/")
        _say(f"  the operator's page     {sides.shop}/api/telemetry/")
        _say(f"  the vendor's page       {sides.vendor}/")
        _say(f"  the operator's files    {home / 'shop'}")
        if not once:
            _say("\nCtrl-C ends the demo and removes its files.")
            _wait()


@contextmanager
def _both_sides(home: Path) -> Iterator[Sides]:
    """Set up the vendor, issue a Pro license, and start the license server and the shop."""
    vendor_env = {**os.environ, "CALOS_SERVER_HOME": str(home / "vendor")}
    told = _calos("server", "init", env=vendor_env)
    vendor_key = told.rpartition("CALOS_VENDOR_KEY=")[2].strip()
    key_file = home / "license.key"
    key_file.write_text(
        _calos("license", "issue", "--tier", "pro", "--licensee", "Demo Shop Ltd", "--domain", HOST, env=vendor_env)
    )
    _say(f"1. The vendor made its keys and issued a Pro license for {HOST}.")
    with ExitStack() as stack:
        server = [str(_COMMAND), "server", "run", "--port", "0"]
        vendor = stack.enter_context(_process(server, vendor_env, home / "vendor.log", "License server on "))
        shop_env = {
            **os.environ,
            "CALOS_HOME": str(home / "shop"),
            "CALOS_PUBLIC_HOST": HOST,
            "CALOS_LICENSE_KEY": str(key_file),
            "CALOS_LICENSE_SERVER": vendor,
            "CALOS_VENDOR_KEY": vendor_key,
            "CALOS_APP_VERSION": "2.4.1",
            "SHOP_DATABASE": str(home / "shop.db"),
            "PYTHONPATH": str(EXAMPLES / "shop"),
        }
        python = [sys.executable, "-m", "shop", "--port", "0"]
        shop = stack.enter_context(_process(python, shop_env, home / "shop.log", "Shop on "))
        _say(f"2. License server on {vendor}, shop on {shop}: two processes, each with its own database.")
        yield Sides(shop, vendor, shop_env, vendor_env)


def _drive(shop: str, seconds: int) -> traffic.Sent:
    _say("3. Visitors come: they buy, study, trade, talk, stumble; a crawler and a scanner among them.")
    with click.progressbar(length=seconds * 10, label="   traffic") as bar:

        def move(done: float) -> None:
            bar.update(int(done * seconds * 10) - bar.pos)

        sent = traffic.run(shop, seconds, seed=7, on_progress=move)
    _say(f"   {sent.total} requests were answered.")
    return sent


def _collected(sides: Sides, sent: traffic.Sent) -> None:
    """Flush, and compare what was recorded with what was sent, to the unit."""
    flushed = _ask("POST", f"{sides.shop}/api/telemetry/flush")
    _hold(flushed["success"] and flushed["message"] == "Telemetry flushed", "the flush did not answer as documented")
    summary = _ask("GET", f"{sides.shop}/api/telemetry/summary?hours=24")["summary"]
    recorded = Counter({(row["method"], row["status_code"]): row["count"] for row in summary["apiStats"]})
    answered: Counter[tuple[str, int]] = Counter()
    for (method, route, status), number in sent.requests.items():
        if route not in HEALTH:  # answered, and by default not recorded
            answered[method, status] += number
    _hold(recorded == answered, f"recorded and sent differ: {dict(recorded - answered)} {dict(answered - recorded)}")
    _say(f"4. Recorded to the unit: {recorded.total()} requests, {summary['totalEvents']} uses of features.")
    for row in summary["featureUsage"][:4]:
        _say(f"     feature  {row['feature']:24} {row['count']} times")
    for row in sorted(summary["performance"], key=lambda row: -row["avg_duration"])[:3]:
        _say(f"     slow     {row['path']:40} {row['avg_duration']} ms on average")
    for row in summary["errors"]:
        _say(f"     failed   {row['error_type']:24} {row['count']} times")


def _proven(sides: Sides, home: Path) -> None:
    """Verify the license, send what is new, and check the receipt with openssl alone."""
    outcome = msgspec.json.decode(_calos("verify", "--json", env=sides.shop_env))
    _hold(outcome["ok"] and outcome["tier"] == "pro", f"the verification failed: {outcome['sentence']}")
    number = str(outcome["number"])
    _say(f"5. Report {number}: {outcome['rows']} rows in {outcome['bytes']} bytes, SHA-256 {outcome['digest']}.")
    _say(f"   License: {outcome['sentence']}")
    _calos("report", "check", env=sides.shop_env)
    body = home / "report.json.gz"
    body.write_bytes(_run([str(_COMMAND), "report", "show", number, "--raw"], sides.shop_env))
    receipt = home / "receipt.txt"
    receipt.write_text(_calos("report", "show", number, "--receipt", env=sides.shop_env))
    _calos("report", "evidence", number, "--to", str(home / "evidence"), env=sides.shop_env)
    verdict = _openssl(home / "evidence")
    _hold("Signature Verified Successfully" in verdict, f"openssl does not accept the receipt: {verdict}")
    digest = _run(["sha256sum", str(home / "evidence" / "report.json.gz")], sides.shop_env).decode().split()[0]
    _hold(digest in receipt.read_text().split("\n"), "the receipt names another digest than the bytes have")
    _say("6. The receipt names exactly these bytes; openssl alone, without our code, accepts the vendor's signature.")


def _charted(sides: Sides) -> None:
    page = _fetch("GET", f"{sides.vendor}/").data.decode()
    _hold("<svg" in page and "pos_transaction" in page, "the vendor's page does not show the features")
    _say("7. The vendor's page shows popular features, slow routes and errors.")


def _openssl(evidence: Path) -> str:
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "receipt-key.pem", "-rawin",  # noqa: S607
         "-in", "receipt.txt", "-sigfile", "receipt.sig"],
        cwd=evidence, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@contextmanager
def _process(command: list[str], env: dict[str, str], log: Path, announced: str) -> Iterator[str]:
    """Start a process and yield the URL that it announces; end it, by its own id, when the block is left."""
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for above
        line = process.stdout.readline()
        _hold(line.startswith(announced), f"{command[0]} did not start: {log.read_text().strip() or line}")
        yield line.removeprefix(announced).split()[0]
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _calos(*arguments: str, env: dict[str, str]) -> str:
    return _run([str(_COMMAND), *arguments], env).decode()


def _run(command: list[str], env: dict[str, str]) -> bytes:
    done = subprocess.run(command, env=env, capture_output=True, check=False)  # noqa: S603 - our own commands
    _hold(done.returncode == 0, f"{' '.join(command)} failed: {done.stderr.decode().strip()}")
    return done.stdout


def _ask(method: str, url: str) -> Any:
    reply = _fetch(method, url)
    return msgspec.json.decode(reply.data)


def _fetch(method: str, url: str) -> urllib3.BaseHTTPResponse:
    reply = urllib3.request(method, url, timeout=_START_SECONDS)
    _hold(reply.status == 200, f"{method} {url} answered {reply.status}: {reply.data[:200]!r}")  # noqa: PLR2004
    return reply


def _hold(holds: bool, sentence: str) -> None:
    if not holds:
        raise NotVerifiedError(sentence)


def _say(sentence: str) -> None:
    click.echo(sentence)


def _wait() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        _say("")


if __name__ == "__main__":
    main()
