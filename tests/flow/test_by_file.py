"""Air gap, erasure and key rotation through real processes, with the lines that docs/licenses.md gives."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.flow.conftest import HOST, Vendor, run

Env = dict[str, str]
PAGE = (Path(__file__).parents[2] / "docs/licenses.md").read_text()


def used(env: Env) -> None:
    """Bring one request of an access log into the install."""
    moment = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    line = f'192.0.2.7 - - [{moment}] "GET /api/pos/7 HTTP/1.1" 200 120 "-" "curl/8"\n'.encode()
    run("import-log", "-", "--public-host", HOST, env=env, stdin=line)


def test_the_commands_of_the_air_gap_are_those_of_the_page(vendor: Vendor, tmp_path: Path, install_env: Env) -> None:
    """Export, answer, import, as the page shows them: the receipt holds, and a second import changes nothing."""
    used(install_env)
    lines = re.findall(r"^calos-telemetry (export|server answer|import) (\S+)", PAGE, re.MULTILINE)
    for command, file in lines:
        env = vendor.env if command == "server answer" else install_env
        run(*command.split(), str(tmp_path / file), env=env)
    assert len(lines) == 3
    assert "nothing has changed" in run("import", str(tmp_path / lines[2][1]), env=install_env)
    assert "BROKEN" not in run("report", "check", env=install_env)
    answer = tmp_path / lines[2][1]
    answer.write_bytes(answer.read_bytes().replace(b"VALID", b"valid"))
    assert "Traceback" not in run("import", str(answer), env=install_env, code=1)
    for wrong in (tmp_path / "nothing", tmp_path):
        assert "Error: " in run("import", str(wrong), env=install_env, code=1 if wrong.name == "nothing" else 2)


@pytest.mark.parametrize("off", [False, True])
def test_openssl_alone_proves_the_erasure(vendor: Vendor, tmp_path: Path, install_env: Env, off: bool) -> None:
    """With telemetry on and off; the lines of the page confirm request and receipt, and one changed byte fails."""
    used(install_env)
    evidence = tmp_path / "evidence"
    with vendor.server() as url:
        env = {**install_env, "CALOS_LICENSE_SERVER": url}
        run("verify", env=env)
        if off:
            env |= {"CALOS_LICENSE_KEY": vendor.license("enterprise"), "TELEMETRY_DISABLED": "true"}
        first = run("erase", "--yes", "--to", str(evidence), env=env)
        assert run("erase", "--yes", env=env) == first
        assert "and done: nothing is sent any more" in run("status", env=env)
        assert "ok      erasure" in run("report", "check", env=env)
    openssl, digests = re.findall(r"^(openssl pkeyutl .*|sed -n 3p .*)$", PAGE, re.MULTILINE)
    assert subprocess.run(openssl.split(), cwd=evidence, capture_output=True, check=True).stdout
    said = subprocess.run(
        ["sh", "-c", digests], cwd=evidence, capture_output=True, check=True, text=True
    ).stdout.split()
    assert said[0] == said[1]
    text = (evidence / "receipt.txt").read_text()
    (evidence / "receipt.txt").write_text(text.replace("rows=", "rows=1"))
    assert subprocess.run(openssl.split(), cwd=evidence, capture_output=True, check=False).returncode != 0


def test_keys_rotate_under_a_running_server(vendor: Vendor, tmp_path: Path, install_env: Env) -> None:
    """Online keys, then the root: the server goes on, the install that pins the first root notices nothing."""
    used(install_env)
    with vendor.server() as url:
        env = {**install_env, "CALOS_LICENSE_SERVER": url}
        run("verify", env=env)
        root = vendor.home / "root.pem"
        safe = root.rename(tmp_path / "safe.pem")
        assert "bring the root from its safe place" in run("keys", "rotate", env=vendor.env, code=1)
        run("keys", "rotate", "--root", str(safe), env=vendor.env)
        run("verify", env=env)
        told = run("keys", "rotate", "--root", str(safe), "--new-root", env=vendor.env)
        assert vendor.key not in told
        used(env)
        assert "The license is valid" in run("verify", env=env)
        assert "BROKEN" not in run("report", "check", env=env)
    shown = run("keys", "show", env=vendor.env)
    assert len(re.findall(r"^\S{12}  (?:license|answer|receipt) +holds", shown, re.MULTILINE)) == 9
