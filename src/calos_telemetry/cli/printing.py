"""How commands print."""

from __future__ import annotations

import msgspec


def as_json(content: object) -> str:
    """Return ``content`` as indented JSON for ``--json``."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def as_line(text: str) -> str:
    r"""Return a text of several lines as one, with ``\n`` between them."""
    return text.replace("\n", "\\n")
