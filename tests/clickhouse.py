"""Real ClickHouse servers for the tests, out of the ``chdb-core`` wheel: one alone, or several that are a cluster.

The wheel holds ClickHouse as a library for embedding; its module function runs the server's own ``LocalServer``, which
listens when ``SYSTEM START LISTEN`` tells it to.  That is undocumented: the version is pinned, and it serves tests alone.
Run as a program this file is one such server, which ends with its standard input, so it never outlives the test runner.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEEDS = "no ClickHouse here: pip install --no-deps chdb-core==26.9.0 (Linux on x86-64 or arm64, macOS)"
CLUSTER = "calos"
_PATIENCE = 30
_HOLD = (
    "SELECT sleepEachRow(3) FROM numbers(1000000000) "
    "SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=0 FORMAT Null"
)
_LISTEN = f"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; {_HOLD}"
_REPLICA = "<shard><replica><host>127.0.0.1</host><port>{}</port></replica></shard>"
_CONFIG = (
    "<clickhouse><listen_host>127.0.0.1</listen_host><http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>"
    "<mark_cache_size>67108864</mark_cache_size><remote_servers>{clusters}</remote_servers></clickhouse>"
)


def available() -> bool:
    """Whether the wheel is here."""
    return importlib.util.find_spec("chdb") is not None


@dataclass(slots=True)
class Node:
    """One server, which can be killed and started again on its data."""

    home: Path
    http: int
    tcp: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self.home)], stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ClickHouse did not start: {(self.home / 'log').read_text()[-2000:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End the server as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ping", timeout=1) as answer:
            return bool(answer.status == 200)
        return False


@contextmanager
def servers(count: int = 1) -> Iterator[list[Node]]:
    """Run so many servers, which know each other as the shards of the cluster ``calos``."""
    root = Path(tempfile.mkdtemp(prefix="calos-clickhouse-", dir="/tmp"))
    ports = _free_ports(2 * count)
    nodes = [Node(root / str(number), *ports[2 * number : 2 * number + 2]) for number in range(count)]
    shards = "".join(_REPLICA.format(node.tcp) for node in nodes)
    clusters = f"<{CLUSTER}>{shards}</{CLUSTER}>" if count > 1 else ""
    try:
        for node in nodes:
            node.home.mkdir()
            config = _CONFIG.format(http=node.http, tcp=node.tcp, clusters=clusters)
            (node.home / "config.xml").write_text(config)
            node.start()
        yield nodes
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(root, ignore_errors=True)


def url_of(nodes: Sequence[Node], database: str) -> str:
    """Return the URL as an administrator would write it."""
    hosts = ",".join(f"127.0.0.1:{node.http}" for node in nodes)
    return f"clickhouse://default@{hosts}/{database}" + (f"?cluster={CLUSTER}" if len(nodes) > 1 else "")


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _serve(home: Path) -> None:
    library: Any = importlib.import_module("chdb._chdb")  # half a gigabyte that only the server's own process loads

    done = library.query(_LISTEN, "TabSeparated", path=str(home / "data"))
    print(done.error_message(), file=sys.stderr)  # noqa: T201 - goes to the log
    os._exit(1)


def main() -> None:
    """Serve until standard input ends."""
    home = Path(sys.argv[1])
    os.chdir(home)  # its config.xml is read from there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the test runner's
    threading.Thread(target=_serve, args=(home,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
