"""Licenses through real processes: the vendor's commands, its server, the operator's commands, and ``openssl``."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import HOST, Vendor, run

Env = dict[str, str]
LOG = b'203.0.113.9 - - [25/Nov/2026:10:00:00 +0000] "GET /users/4711 HTTP/1.1" 200 120 "-" "curl/8"\n'
Answer = Callable[[BaseHTTPRequestHandler], None]


def status(env: Env) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--json", env=env))
    return found


def verified(env: Env) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(run("verify", "--json", env=env))
    return outcome


def reports(env: Env) -> list[dict[str, Any]]:
    return [one for one in json.loads(run("report", "list", "--json", env=env)) if one["rows"]]


def use(env: Env, tmp_path: Path) -> None:
    """Let the install have something to report."""
    (tmp_path / "access.log").write_bytes(LOG)
    run("import-log", str(tmp_path / "access.log"), "--public-host", HOST, "--until", "now", env=env)


@contextmanager
def scripted(answer: Answer) -> Iterator[str]:
    """Run a server that answers every call as ``answer`` does; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sending(code: int, body: bytes, length: int | None = None, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hanging_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


ANSWERS: dict[str, Answer] = {
    "garbage": sending(200, b"\x00\xff garbage"),
    "an unsigned yes": sending(200, b'{"v":1,"license":{"code":"VALID","tier":"enterprise"}}'),
    "a false signature": sending(200, b"{}", Calos_Signature="AAAAAAAAAAAA." + "A" * 86),
    "500": sending(500, b"oops"),
    "503": sending(503, b""),
    "a redirect": sending(302, b"", Location="http://127.0.0.1:9/"),
    "half an answer": sending(200, b"{", length=1_000),
    "more than fits": sending(200, b"[" * 300_000),
    "a closed connection": hanging_up,
}


def test_a_server_that_talks_nonsense_is_told_in_a_sentence(tmp_path: Path, install_env: Env) -> None:
    """Whatever stands at the address of the license server: one sentence, exit code 1, and license and report as before."""
    use(install_env, tmp_path)
    for name, answer in ANSWERS.items():
        with scripted(answer) as url:
            printed = run("verify", env={**install_env, "CALOS_LICENSE_SERVER": url}, code=1)
        assert "Traceback" not in printed, name
        assert printed.strip(), name
    assert status(install_env)["tier"] == "pro"
    assert [one["state"] for one in reports(install_env)] == ["sealed"]


def test_an_outage_changes_nothing_and_heals(vendor: Vendor, tmp_path: Path, install_env: Env) -> None:
    """While the server process is away the tier stays and the report waits; when it is back the same bytes get their
    receipt, and the ledger holds."""
    use(install_env, tmp_path)
    run("verify", env=install_env, code=1)
    (waiting,) = reports(install_env)
    assert status(install_env)["tier"] == "pro"
    with vendor.server() as url:
        env = {**install_env, "CALOS_LICENSE_SERVER": url}
        assert verified(env)["code"] == "VALID"
    (sent,) = reports(install_env)
    assert (sent["digest"], sent["state"]) == (waiting["digest"], "acknowledged")
    assert "BROKEN" not in run("report", "check", env=install_env)
    assert status(install_env)["tier"] == "pro"


def test_revoked_by_the_vendor_and_replaced_by_the_operator(vendor: Vendor, install_env: Env) -> None:
    """``license revoke`` reaches the install with its reason at the next verification and outlives the server; another key
    in the same file holds at once, before anybody is asked."""
    with vendor.server() as url:
        env = {**install_env, "CALOS_LICENSE_SERVER": url}
        assert verified(env)["code"] == "VALID"
        license_id = run("license", "list", env=vendor.env).split()[0]
        run("license", "revoke", license_id, "--why", "the invoice was not paid", env=vendor.env)
        assert verified(env)["code"] == "REVOKED"
    told = status(install_env)
    assert told["tier"] == "community"
    assert "the invoice was not paid" in told["warning"]
    Path(install_env["CALOS_LICENSE_KEY"]).write_text(vendor.license("enterprise"))
    assert status(install_env)["tier"] == "enterprise"
    assert status(install_env)["warning"] is None


@pytest.mark.parametrize("which", ["missing", "damaged", "another vendor's", "not text"])
def test_a_license_key_that_proves_nothing_is_said(
    tmp_path: Path, install_env: Env, vendor: Vendor, which: str
) -> None:
    """A key that is missing, damaged, of another vendor or no text makes the install community, and says what to do."""
    key = Path(install_env["CALOS_LICENSE_KEY"])
    text = key.read_text()
    if which == "missing":
        key.unlink()
    elif which == "damaged":
        key.write_text(text[:200] + ("A" if text[200] != "A" else "B") + text[201:])
    elif which == "not text":
        key.write_bytes(b"\x00\xff" * 100)
    else:
        other = Vendor(tmp_path / "other")
        run("server", "init", env=other.env)
        key.write_text(other.license())
    told = status(install_env)
    assert told["tier"] == "community"
    assert ":" in told["warning"]
    assert vendor.key not in told["warning"]


def test_openssl_alone_proves_what_was_sent(vendor: Vendor, tmp_path: Path, install_env: Env) -> None:
    """From the files of ``report evidence``, ``sha256sum`` and ``openssl`` confirm receipt and bytes without our code, and
    one changed byte anywhere in the receipt, the signature or the report is found."""
    use(install_env, tmp_path)
    with vendor.server() as url:
        assert verified({**install_env, "CALOS_LICENSE_SERVER": url})["receipt"]
    evidence = tmp_path / "evidence"
    run("report", "evidence", str(reports(install_env)[0]["number"]), "--to", str(evidence), env=install_env)
    assert openssl_agrees(evidence)
    assert sha256(evidence) == (evidence / "receipt.txt").read_text().split("\n")[3]

    report = (evidence / "report.json.gz").read_bytes()
    (evidence / "report.json.gz").write_bytes(report[:-1] + bytes((report[-1] ^ 1,)))
    assert sha256(evidence) != (evidence / "receipt.txt").read_text().split("\n")[3]
    for name in ("receipt.txt", "receipt.sig"):
        whole = (evidence / name).read_bytes()
        for place in range(0, len(whole), 8):
            (evidence / name).write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
            assert not openssl_agrees(evidence), (name, place)
        (evidence / name).write_bytes(whole)
    assert openssl_agrees(evidence)


def openssl_agrees(evidence: Path) -> bool:
    command = "openssl pkeyutl -verify -pubin -inkey receipt-key.pem -rawin -in receipt.txt -sigfile receipt.sig"
    return subprocess.run(command.split(), cwd=evidence, capture_output=True, check=False).returncode == 0


def sha256(evidence: Path) -> str:
    done = subprocess.run(["sha256sum", "report.json.gz"], cwd=evidence, capture_output=True, check=True, text=True)
    return done.stdout.split()[0]


def test_a_tampered_ledger_is_found(vendor: Vendor, tmp_path: Path, install_env: Env) -> None:
    """A byte changed in a stored report makes ``report check`` fail and name the report."""
    use(install_env, tmp_path)
    with vendor.server() as url:
        verified({**install_env, "CALOS_LICENSE_SERVER": url})
    number = reports(install_env)[0]["number"]
    run("report", "check", env=install_env)
    change = f"update telemetry_reports set body = cast(body || x'00' as blob) where number = {number}"
    subprocess.run(["sqlite3", f"{install_env['CALOS_HOME']}/telemetry.db", change], check=True)
    printed = run("report", "check", env=install_env, code=1)
    assert f"report {number}: the bytes do not have their digest" in printed


def test_what_the_install_keeps_is_its_owners(vendor: Vendor, tmp_path: Path, install_env: Env) -> None:
    """After a verification no file of the install can be read by others, and none holds the license key."""
    use(install_env, tmp_path)
    with vendor.server() as url:
        verified({**install_env, "CALOS_LICENSE_SERVER": url})
    home = Path(install_env["CALOS_HOME"])
    secret = Path(install_env["CALOS_LICENSE_KEY"]).read_text().split("\n")[3].encode()
    for path in filter(Path.is_file, home.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
        assert secret not in path.read_bytes(), path
