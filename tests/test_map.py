"""The map of the house: folders, the linter's layers and CONTRIBUTING's first line name the same stages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/calos_telemetry"
HELPERS = {
    "instrument",
    "viewer",
}  # beside the way of the data: another source of facts, and a look at what became of it
SERVER_HELPERS = {"admin"}


def modules(folder: Path) -> set[str]:
    """Return the names of the modules and packages of a folder."""
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
    return found - {"__init__"}


def layers(container: str | None) -> Iterator[str]:
    """Yield every module that a contract of layers names, from the upper to the lower."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts: list[dict[str, Any]] = [each for each in linter["contracts"] if each["type"] == "layers"]
    for contract in contracts:
        if contract.get("containers", [None]) == [container]:
            for layer in contract["layers"]:
                yield from (name.strip().removeprefix("calos_telemetry.") for name in layer.split("|"))


def stages() -> tuple[list[str], list[str]]:
    """Return the stages that CONTRIBUTING's first line names, of the install and of the server."""
    line = next(each for each in (ROOT / "CONTRIBUTING.md").read_text().split("\n") if each.startswith("1. "))
    install, _, server = line.partition("the server's")
    in_brackets = re.search(r"\(([a-z]+), ([a-z]+)\)", install)
    assert in_brackets is not None
    assert set(in_brackets.groups()) <= modules(PACKAGE / "sdk/record")
    return re.findall(r"`(?:sdk/)?([a-z]+)`", install), re.findall(r"`([a-z]+)`", server)


def test_the_named_stages_are_folders() -> None:
    """Each stage of CONTRIBUTING's first line is a folder, and each folder is a stage or a known helper."""
    install, server = stages()
    folders = {path.parent.name for path in (PACKAGE / "sdk").glob("*/__init__.py")}
    assert folders == set(install) | HELPERS
    assert {path.parent.name for path in (PACKAGE / "server").glob("*/__init__.py")} == set(server) | SERVER_HELPERS


def test_the_linter_knows_every_folder_of_the_sdk() -> None:
    """The layers of the SDK name every folder and every module that wires the stages, and nothing that is not there."""
    named = set(layers("calos_telemetry.sdk"))
    folders = {path.parent.name for path in (PACKAGE / "sdk").glob("*/__init__.py")}
    assert folders <= named
    assert named <= modules(PACKAGE / "sdk")


def test_the_linter_knows_every_part_of_the_package() -> None:
    """The layers of the package name every folder and module at its top, and nothing that is not there."""
    assert set(layers(None)) | {"testing"} == modules(PACKAGE) | {"testing"}


def test_the_way_of_the_data_is_the_order_of_the_layers() -> None:
    """Who comes later on the way from the request to the report stands above the obfuscators and below the middleware."""
    order = list(layers("calos_telemetry.sdk"))
    for upper, lower in (
        ("middleware", "telemetry"),
        ("telemetry", "license"),
        ("license", "report"),
        ("record", "rollup"),
    ):
        assert order.index(upper) < order.index(lower)
