"""A license server of one's own for a test: the real one, with fresh keys, as a process on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calos_telemetry.errors import StateError

_PATIENCE = 30.0


@dataclass(frozen=True)
class Vendor:
    """The vendor's side: where its server listens, the public key to trust (``CALOS_VENDOR_KEY``), its directory."""

    url: str
    key: str
    home: Path

    def license(self, tier: str = "pro", *domains: str, air_gapped: bool = False) -> str:
        """Return a license key that the vendor has signed for these domains (``shop.example.com`` without any)."""
        named = [part for domain in domains or ("shop.example.com",) for part in ("--domain", domain)]
        right = ["--air-gapped"] if air_gapped else []
        return _command(self.home, "license", "issue", "--tier", tier, "--licensee", "Test", *named, *right).strip()


@contextmanager
def license_server(home: Path) -> Iterator[Vendor]:
    """Run a license server whose keys and databases are in ``home``, and end it at the end of the block.

    Needs the extra ``server``.  Raises :class:`StateError` when it does not start, with what it said.
    """
    key = _command(home, "server", "init").rpartition("CALOS_VENDOR_KEY=")[2].strip()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*_COMMAND, "server", "run", "--port", "0"], env=_environment(home), stdout=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline() if process.stdout is not None else ""
        if not said.startswith(_LISTENING):
            raise StateError(f"the license server did not start: {said.strip() or 'it said nothing'}")
        yield Vendor(said.removeprefix(_LISTENING).split()[0], key, home)
    finally:
        process.terminate()
        process.wait(_PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


_COMMAND = (sys.executable, "-m", "calos_telemetry.cli")
_LISTENING = "License server on "


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "CALOS_SERVER_HOME": str(home)}


def _command(home: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        [*_COMMAND, *arguments], env=_environment(home), capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if done.returncode:
        raise StateError(f"{' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout
