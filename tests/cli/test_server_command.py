"""``calos-telemetry server`` and ``license`` as the vendor meets them: real processes on loopback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.keys import SignedKeyring, open_keyring
from calos_telemetry.contract.license import open_license
from calos_telemetry.contract.signing import decode_public
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server import keys

COMMAND = [sys.executable, "-c", "from calos_telemetry.cli.main import main; main()"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a server home with keys."""
    keys.init(tmp_path / "vendor", now_ms())
    return tmp_path / "vendor"


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALOS_")}
    return kept | {"CALOS_SERVER_HOME": str(home)}


def call(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(home), capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def running(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the license server on a free port; yield its process and URL once it listens."""
    process = subprocess.Popen(
        [*COMMAND, "server", "run", "--port", "0"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found is not None, line or process.communicate()[1]
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def one_sentence(told: subprocess.CompletedProcess[str]) -> str:
    """Return the only line on stderr of a command that failed."""
    assert told.returncode != 0
    assert told.stdout == ""
    lines = told.stderr.strip().splitlines()
    assert len(lines) == 1, told.stderr
    return lines[0]


def test_the_whole_ceremony(tmp_path: Path) -> None:
    """Init prints the key that installs pin; issue, list, show and revoke work on the same books."""
    home = tmp_path / "new" / "vendor"
    told = call(home, "server", "init")
    assert told.returncode == 0, told.stderr
    pinned = re.search(r"^CALOS_VENDOR_KEY=(\S+)$", told.stdout, re.MULTILINE)
    assert pinned is not None
    again = call(home, "server", "init")
    assert again.returncode == 0
    assert "nothing was changed" in again.stdout
    assert pinned[0] in again.stdout
    issued = call(home, "license", "issue", "--tier", "pro", "--licensee", "ACME", "--domain", "Shop.Example.com")
    license_ = open_license(issued.stdout, decode_public(pinned[1]))
    assert (license_.tier, license_.domains) == (Tier.PRO, ["shop.example.com"])
    assert license_.id in issued.stderr
    assert re.search(rf"{license_.id} +valid +pro .*ACME", call(home, "license", "list").stdout)
    assert issued.stdout in call(home, "license", "show", license_.id[:8]).stdout
    assert "is revoked: unpaid" in call(home, "license", "revoke", license_.id[:8], "--why", "unpaid").stdout
    assert " revoked " in call(home, "license", "list").stdout


def test_a_license_key_goes_into_a_private_file(home: Path, tmp_path: Path) -> None:
    """With --output the key is in a file of its owner, and not on the screen."""
    file = tmp_path / "acme.lic"
    arguments = ["--tier", "enterprise", "--licensee", "ACME", "--never-expires", "--air-gapped", "--output", str(file)]
    told = call(home, "license", "issue", *arguments)
    assert (told.returncode, told.stdout) == (0, "")
    assert file.stat().st_mode & 0o777 == 0o600
    license_ = open_license(file.read_text(), keys.load(home).root)
    assert (license_.expires_at, license_.air_gapped) == (None, True)


def test_the_server_says_where_it_listens_and_stops_when_asked(home: Path) -> None:
    """The URL is printed once it answers; SIGTERM ends it with 0; nothing is logged about who asked."""
    with running(home) as (process, url):
        health = urllib3.request("GET", f"{url}/status")
        assert (health.status, health.json()["status"]) == (200, "ok")
        ring = urllib3.request("GET", f"{url}/keys").json(), keys.load(home).root
        assert open_keyring(SignedKeyring(**ring[0]), ring[1]).version == 1
        assert urllib3.request("GET", f"{url}/").status == 200
        assert urllib3.request("GET", f"{url}/nothing").status == 404
        assert urllib3.request("POST", f"{url}/verify", body=b"x").status == 415
        assert urllib3.request("GET", f"{url}/", headers={"X-Forwarded-For": "127.0.0.1"}).status == 403
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_ctrl_c_is_a_graceful_stop_too(home: Path) -> None:
    """SIGINT ends it with 0 and without a traceback."""
    with running(home) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


def test_a_port_in_use_is_one_sentence(home: Path) -> None:
    """The second server says what is wrong and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = one_sentence(call(home, "server", "run", "--port", str(port)))
    assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in said
    assert "choose another --port" in said


def test_a_host_that_is_not_ours_is_one_sentence(home: Path) -> None:
    """An address of another machine or an unknown name cannot be listened on."""
    assert "cannot listen on 192.0.2.1" in one_sentence(call(home, "server", "run", "--host", "192.0.2.1"))


@pytest.mark.parametrize("arguments", [("server", "run"), ("license", "list"), ("license", "show", "abcd")])
def test_without_a_ceremony_the_missing_command_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Every command says that `server init` comes first, and leaves no empty databases behind."""
    assert "run `calos-telemetry server init` first" in one_sentence(call(tmp_path, *arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    """A home below a file is refused in words."""
    (tmp_path / "file").touch()
    assert "cannot be created" in one_sentence(call(tmp_path / "file" / "vendor", "server", "init"))


def test_a_corrupt_database_is_one_sentence(home: Path) -> None:
    """A damaged file is named, with what to do about it."""
    (home / "telemetry.db").write_bytes(b"no database" * 100)
    said = one_sentence(call(home, "server", "run", "--port", "0"))
    assert "telemetry.db cannot be used as a database" in said


def test_a_missing_extra_is_named() -> None:
    """Without the server's packages the command says what to install, and the other commands still work."""
    hide = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['calos-telemetry', {}];"
        "from calos_telemetry.cli.main import main; main()"
    )
    told = subprocess.run(
        [sys.executable, "-c", hide.format("'server', 'run'")], capture_output=True, text=True, check=False
    )
    assert "pip install 'calos-telemetry[server]'" in one_sentence(told)
    helped = subprocess.run([sys.executable, "-c", hide.format("'--help'")], capture_output=True, text=True, check=True)
    assert "Set up and run the license server" in helped.stdout


def test_help_imports_no_command() -> None:
    """The list of commands costs no database, no cryptography and no web server."""
    probe = (
        "import sys; sys.argv = ['calos-telemetry', '--help']\n"
        "from calos_telemetry.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'sqlalchemy', 'cryptography', 'starlette', 'uvicorn', 'altair', 'urllib3'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
