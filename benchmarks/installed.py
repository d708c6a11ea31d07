"""What a package brings with it when it is installed by itself: how many packages, and how many megabytes."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_MB = 1_000_000


def weight(name: str) -> tuple[int, float]:
    """Return the number of packages that ``name`` needs, itself included, and their files in MB without bytecode."""
    found: dict[str, Distribution] = {}
    _collect(name, found)
    return len(found), sum(map(_size, found.values())) / _MB


def _collect(name: str, found: dict[str, Distribution]) -> None:
    key = canonicalize_name(name)
    if key in found:
        return
    try:
        here = found[key] = distribution(name)
    except PackageNotFoundError:  # a marker of another system
        return
    for text in here.requires or ():
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            _collect(needed.name, found)


def _size(package: Distribution) -> int:
    """Return the bytes of a package's files; of an editable one those of its source."""
    files = [Path(str(package.locate_file(file))) for file in package.files or () if not str(file).endswith(".pyc")]
    if not any(file.suffix == ".py" and "site-packages" in str(file) for file in files):
        source = Path(__file__).resolve().parents[1] / "src"
        if package.name == "calos-telemetry":
            files = [file for file in source.rglob("*") if file.suffix != ".pyc"]
    return sum(file.stat().st_size for file in files if file.is_file())
