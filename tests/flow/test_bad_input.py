"""Bad input at every door: one clear sentence, an exit code, and no effect on the application."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import HOST, Vendor, run

GARBAGE = {
    "nothing at all": b"",
    "noise": bytes(range(256)) * 40,
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "an empty object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "deep JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    "a web page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "an unsigned yes": b'HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n{"v":1,"license":{"code":"VALID"}, "x":1}',
    "an error": b"HTTP/1.1 500 Oh no\r\nContent-Length: 0\r\n\r\n",
    "a half answer": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "a way elsewhere": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
}


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Run a server that answers everything with the same bytes; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.recv(1 << 20)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def complaint(*arguments: str, env: dict[str, str]) -> str:
    printed = run(*arguments, env=env, code=1)
    assert "Traceback" not in printed
    return printed


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_server_that_answers_garbage_changes_nothing(install_env: dict[str, str], answer: bytes) -> None:
    """Whatever comes back, the command says in a sentence that it is tried again, and the license stays Pro."""
    with answering(answer) as url:
        env = {**install_env, "CALOS_LICENSE_SERVER": url}
        assert "nothing is lost" in complaint("verify", env=env)
        status = json.loads(run("status", "--json", env=env))
    assert (status["tier"], status["license"]) == ("pro", "pro: proved by the license key")


def test_license_keys_that_prove_nothing(install_env: dict[str, str], vendor: Vendor, tmp_path: Path) -> None:
    """A key that is cut, changed, of another vendor, missing or unreadable: community, and the reason in words."""
    key = Path(install_env["CALOS_LICENSE_KEY"]).read_text()
    stranger = Vendor(tmp_path / "stranger")
    run("server", "init", env=stranger.env)
    middle = len(key) // 2
    keys = {
        "cut": key[:middle],
        "changed": key[:middle] + ("A" if key[middle] != "A" else "B") + key[middle + 1 :],
        "another vendor's": stranger.license(),
        "empty": "\n",
        "no key": "hello",
    }
    for what, text in keys.items():
        file = tmp_path / "bad.key"
        file.write_text(text)
        status = json.loads(run("status", "--json", env={**install_env, "CALOS_LICENSE_KEY": str(file)}))
        assert status["tier"] == "community", what
        assert status["warning"], what
    for path in (tmp_path / "missing.key", tmp_path):
        status = json.loads(run("status", "--json", env={**install_env, "CALOS_LICENSE_KEY": str(path)}))
        assert "CALOS_LICENSE_KEY" in status["warning"]
    assert json.loads(run("status", "--json", env=install_env))["tier"] == "pro"
    assert vendor.key == install_env["CALOS_VENDOR_KEY"]


@pytest.mark.parametrize("vendor_key", ["damaged", "A" * 43, ""])
def test_a_vendor_key_that_is_none(install_env: dict[str, str], vendor_key: str) -> None:
    """With a damaged, a wrong or no vendor key nothing is sent and nothing proved, and both say so."""
    env = {**install_env, "CALOS_VENDOR_KEY": vendor_key}
    complaint("verify", env=env)
    status = json.loads(run("status", "--json", env=env))
    assert (status["tier"], bool(status["warning"])) == ("community", True)


def test_logs_that_are_none(install_env: dict[str, str], tmp_path: Path) -> None:
    """A missing log, a directory, noise and a cut archive: one sentence."""
    host = ("--public-host", HOST)
    assert "missing.log" in complaint("import-log", str(tmp_path / "missing.log"), *host, env=install_env)
    noise = tmp_path / "noise.log"
    noise.write_bytes(bytes(range(256)) * 100)
    assert "none of " in complaint("import-log", str(noise), *host, env=install_env)
    packed = tmp_path / "cut.log.gz"
    packed.write_bytes(b"\x1f\x8b\x08\x00" + b"\x00" * 10)
    complaint("import-log", str(packed), *host, env=install_env)
