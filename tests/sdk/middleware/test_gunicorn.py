"""Flask under gunicorn, whose request bodies can do no more than the standard asks for: uploads and clients that leave."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from ..conftest import HOST

SHOP = """
import json
from flask import Flask, Response, request
from calos_telemetry import Telemetry
from calos_telemetry.sdk.middleware.flask import init_flask

app = Flask("shop")
telemetry = Telemetry()
kept, record = [], telemetry.record

def keep(facts):
    record(facts)
    kept.append([facts.path, facts.status, facts.request_bytes, facts.disconnected, facts.error is None])

telemetry.record = keep
init_flask(app, telemetry)

@app.post("/upload")
def upload():
    file = request.files.get("file")
    return str(len(file.read() if file else request.get_data()))

@app.get("/endless")
def endless():
    return Response(iter(lambda: b"x" * 10_000, None))

@app.get("/kept")
def what_was_kept():
    return json.dumps(kept)
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Run the shop under gunicorn; yield its port."""
    (tmp_path / "shop.py").write_text(SHOP)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
    env = {**clean, "CALOS_HOME": str(tmp_path / "home"), "CALOS_PUBLIC_HOST": HOST}
    env["CALOS_LICENSE_SERVER"] = "http://127.0.0.1:9"
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "shop:app"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                break
        else:
            pytest.fail("gunicorn did not start")
    finally:
        process.terminate()
        process.communicate(timeout=20)


def kept(port: int) -> list[Any]:
    """Return what was recorded; the one worker answers in the order in which it was asked."""
    recorded: list[Any] = urllib3.request("GET", f"http://127.0.0.1:{port}/kept", headers={"Host": HOST}).json()
    return recorded


def leave(port: int, request: str, until: bytes = b"") -> None:
    """Send a request, wait until something has come, and go away."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request.replace("\n", "\r\n").encode())
        seen = b""
        while until not in seen:
            seen += client.recv(4_096)


def test_uploads_and_clients_that_leave(port: int) -> None:
    """Plain, chunked and multipart bodies arrive whole and are counted; who leaves, sending or reading, is told."""
    url = f"http://127.0.0.1:{port}/upload"
    body = os.urandom(100_000)
    plain = urllib3.request("POST", url, headers={"Host": HOST}, body=body)
    chunked = urllib3.PoolManager().request("POST", url, headers={"Host": HOST}, body=iter([body, body]), chunked=True)
    form = urllib3.request("POST", url, headers={"Host": HOST}, fields={"file": ("a", body)})
    assert [answer.data for answer in (plain, chunked, form)] == [b"100000", b"200000", b"100000"]
    leave(port, f"POST /upload HTTP/1.1\nHost: {HOST}\nContent-Length: 10\n\nhalf")
    leave(port, f"GET /endless HTTP/1.1\nHost: {HOST}\n\n", until=b"xxx")
    first, second, third, half, endless = kept(port)
    assert first == ["/upload", 200, 100_000, False, True]
    assert second == ["/upload", 200, 200_000, False, True]
    assert third[2] > 100_000
    assert half == ["/upload", 200, 4, True, True]  # under gunicorn Flask does not notice, and answers nobody
    assert endless == ["/endless", 200, 0, True, True]
