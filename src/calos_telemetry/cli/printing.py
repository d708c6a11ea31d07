"""How commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


def as_json(content: object) -> str:
    """Return ``content`` as indented JSON for ``--json``."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def as_line(text: str) -> str:
    r"""Return a text of several lines as one, with ``\n`` between them."""
    return text.replace("\n", "\\n")


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same keys as aligned columns below their names; numbers stand to the right."""
    columns = [[name, *(_cell(row[name]) for row in rows)] for name in rows[0]]
    numeric = [all(isinstance(row[name], int | float | None) for row in rows) for name in rows[0]]
    widths = [max(map(len, column)) for column in columns]
    aligned = [
        [cell.rjust(width) if right else cell.ljust(width) for cell in column]
        for column, width, right in zip(columns, widths, numeric, strict=True)
    ]
    return "\n".join("  ".join(line).rstrip() for line in zip(*aligned, strict=True))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "-"
    return f"{value:,}" if isinstance(value, int | float) else as_line(str(value))
