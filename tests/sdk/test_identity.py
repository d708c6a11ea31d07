"""Who an install is: made once, kept privately, never guessed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from calos_telemetry.contract.signing import encode_public
from calos_telemetry.errors import CalosTelemetryError, SignatureError, StateError
from calos_telemetry.sdk.identity import load_identity

SHOW = (
    "import pathlib, sys; from calos_telemetry.sdk.identity import load_identity as load;"
    "from calos_telemetry.contract.signing import encode_public as public;"
    "sys.stdin.read(1); one = load(pathlib.Path(sys.argv[1])); print(one.install_id, public(one.key.public_key()))"
)


def test_it_is_random_and_stays(tmp_path: Path) -> None:
    """Two installs differ in number and key; the same install is the same again."""
    first, second = load_identity(tmp_path / "a"), load_identity(tmp_path / "b")
    assert re.fullmatch("[0-9a-f]{32}", first.install_id)
    assert first.install_id != second.install_id
    assert encode_public(first.key.public_key()) != encode_public(second.key.public_key())
    again = load_identity(tmp_path / "a")
    assert again.install_id == first.install_id
    assert encode_public(again.key.public_key()) == encode_public(first.key.public_key())


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    """Directory and files are closed to group and others."""
    load_identity(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    for name in ("install_id", "install.key"):
        assert (tmp_path / "home" / name).stat().st_mode & 0o777 == 0o600


def test_racing_processes_agree(tmp_path: Path) -> None:
    """Of eight processes that start at the same moment on an empty home, all have the same number and key."""
    command = [sys.executable, "-c", SHOW, str(tmp_path / "home")]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("!")
        racer.stdin.flush()
    told = {racer.communicate(timeout=60)[0] for racer in racers}
    assert len(told) == 1
    assert len(told.pop().split()) == 2
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["install.key", "install_id"]


@pytest.mark.parametrize("name", ["install_id", "install.key"])
@pytest.mark.parametrize("damage", [b"", b"x", b"\xff\xfe", b"0" * 31, b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_file_is_said_and_not_replaced(tmp_path: Path, name: str, damage: bytes) -> None:
    """Damage is told with the file's name and what to do, and the file stays as it is."""
    load_identity(tmp_path)
    path = tmp_path / name
    path.write_bytes(damage)
    with pytest.raises((StateError, SignatureError), match=name.replace(".", r"\.")):
        load_identity(tmp_path)
    assert path.read_bytes() == damage


@pytest.mark.parametrize("name", ["install_id", "install.key"])
def test_what_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    """A number or key that others could have read, and a symbolic link in its place, are refused in words."""
    load_identity(tmp_path)
    (tmp_path / name).chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        load_identity(tmp_path)
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="plain file"):
        load_identity(tmp_path)


def test_a_home_that_is_no_directory_is_said(tmp_path: Path) -> None:
    """A file where the home should be is one clear sentence, not a traceback of the operating system."""
    (tmp_path / "home").write_text("no directory")
    with pytest.raises(CalosTelemetryError):
        load_identity(tmp_path / "home")
