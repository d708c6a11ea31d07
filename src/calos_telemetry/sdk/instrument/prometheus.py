"""The operator's numbers as a page for Prometheus (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from calos_telemetry.sdk.instrument.numbers import FAMILIES, Family, Number, numbers

if TYPE_CHECKING:
    from calos_telemetry.sdk.install import Install

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def metrics_page(install: Install) -> str:
    """Return the page: one block for each family that has numbers."""
    known: dict[str, list[Number]] = {}
    for number in numbers(install):
        known.setdefault(number.family, []).append(number)
    return "".join(_block(family, known[family.name]) for family in FAMILIES if family.name in known)


def _block(family: Family, members: list[Number]) -> str:
    name = family.name.replace(".", "_")
    name += "_total" if family.counts else "_seconds" if family.unit == "s" else ""
    head = f"# HELP {name} {family.what}\n# TYPE {name} {'counter' if family.counts else 'gauge'}\n"
    return head + "".join(f"{name}{_labels(member.labels)} {member.value}\n" for member in members)


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""
