"""Files that only their owner may read: whole or not at all, never through a link, whatever lies in their place."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from calos_telemetry import private_files
from calos_telemetry.errors import StateError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read_by_its_owner_only(tmp_path: Path) -> None:
    """A file and the directory made for it are closed to everybody else, and nothing temporary is left."""
    path = tmp_path / "state" / "secret"
    private_files.write(path, b"one")
    private_files.write(path, b"two")
    assert private_files.read(path) == b"two"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def _plain(path: Path) -> None:
    path.write_bytes(b"x")


def _link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.touch(0o600)
    path.symlink_to(target)


@pytest.mark.parametrize("plant", [_plain, _link, Path.mkdir, os.mkfifo])
def test_what_is_not_a_private_plain_file_is_refused(tmp_path: Path, plant: object) -> None:
    """A file that others may read, a link, a directory and a pipe (which must not hang us) end in one sentence."""
    path = tmp_path / "secret"
    assert callable(plant)
    plant(path)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StateError, match=r"secret .*: "):
        private_files.read(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    """A file that is not there is no trouble of the state directory."""
    with pytest.raises(FileNotFoundError):
        private_files.read(tmp_path / "none")


def test_a_target_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where a directory lies in the place of the file, the error is a sentence, and the temporary file is gone."""
    path = tmp_path / "lease.json"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(StateError, match="cannot be replaced"):
        private_files.write(path, b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["lease.json"]


def _full(*_: object) -> NoReturn:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_failing_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """When the disk refuses, the error says so and no half file stays."""
    monkeypatch.setattr(os, call, _full)
    with pytest.raises(StateError, match="No space left"):
        private_files.create_once(tmp_path / "secret", lambda: b"x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "state"])
def test_a_file_in_the_place_of_the_directory_is_a_sentence(tmp_path: Path, below: str) -> None:
    """CALOS_HOME that is a file, or lies below one, is told in a sentence that says what to give instead."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="give a directory"):
        private_files.ensure_directory(tmp_path / "file" / below)


RACER = """
import sys
from pathlib import Path
from calos_telemetry import private_files
path, mine = Path(sys.argv[1]), sys.argv[2].encode()
print("ready", flush=True)
sys.stdin.readline()
print(private_files.create_once(path, lambda: mine).decode())
"""


def test_racing_processes_agree_on_the_first_one(tmp_path: Path) -> None:
    """Of processes that create a secret at the same moment one wins, and all of them return its content."""
    path = tmp_path / "secret"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path), f"{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    contents = {racer.communicate(timeout=60)[0].strip() for racer in racers}
    assert contents == {path.read_text()}
