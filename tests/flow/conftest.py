"""Both sides for real: a license server process, and the environment of an install that trusts it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("calos-telemetry"))
HOST = "shop.example.com"


def run(*arguments: str, env: dict[str, str], code: int = 0, stdin: bytes = b"") -> str:
    """Run the command line; return what it printed.  Its exit code must be ``code``."""
    done = subprocess.run([COMMAND, *arguments], env=env, input=stdin, capture_output=True, check=False, timeout=60)
    printed = (done.stdout + done.stderr if code else done.stdout).decode()
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}"
    return printed


@dataclass
class Vendor:
    """The vendor's side: its home, its keys, its processes."""

    home: Path
    key: str = ""
    _running: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "CALOS_SERVER_HOME": str(self.home)}

    def license(self, tier: str = "pro", *options: str) -> str:
        return run("license", "issue", "--tier", tier, "--licensee", "Test", "--domain", HOST, *options, env=self.env)

    @contextmanager
    def server(self) -> Iterator[str]:
        """Run the license server as a process; yield its URL."""
        process = subprocess.Popen(
            [COMMAND, "server", "run", "--port", "0"], env=self.env, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("License server on ").split()[0]
        finally:
            process.terminate()
            process.wait(20)
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    made = Vendor(tmp_path / "vendor")
    made.key = run("server", "init", env=made.env).rpartition("CALOS_VENDOR_KEY=")[2].strip()
    return made


@pytest.fixture
def install_env(tmp_path: Path, vendor: Vendor) -> dict[str, str]:
    """Return the environment of an install with a Pro license; the server's URL is added by the test."""
    key = tmp_path / "license.key"
    key.write_text(vendor.license())
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
    return {
        **clean,
        "CALOS_HOME": str(tmp_path / "install"),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_KEY": str(key),
        "CALOS_VENDOR_KEY": vendor.key,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
    }
