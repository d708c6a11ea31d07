"""Which file system the state directory is on: over a network, `flock` and `O_APPEND` promise less than the spool needs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "lustre"}
)


def warning_of(home: Path, mounts: Path = MOUNTS) -> str | None:
    """Return a sentence when ``home`` is on a disk of another machine; ``None`` also where nobody can tell (macOS)."""
    with suppress(OSError):
        kind = _kind_of(home.resolve(), mounts.read_text(errors="surrogateescape"))
        if kind in _REMOTE:
            return f"{home} is on {kind}, where locks and appends are weaker: set CALOS_HOME to a directory on a local disk"
    return None


def _kind_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that is mounted nearest above ``path``; of two at one place, the later."""
    nearest, kind = Path("/"), ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        place = Path(_plain(before.split(" ")[4]))
        if path.is_relative_to(place) and place.is_relative_to(nearest):
            nearest, kind = place, after.split(" ")[0]
    return kind


def _plain(place: str) -> str:
    r"""Return a mount point without its escapes (a space is ``\040``)."""
    for escape in ("\\040", "\\011", "\\012", "\\134"):
        place = place.replace(escape, chr(int(escape[1:], 8)))
    return place
