"""ClickHouse servers that the tests of a module share, each test in a database of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from tests.clickhouse import NEEDS, Node, available, servers, url_of

Fresh = Callable[[], str]


def started(count: int) -> Iterator[list[Node]]:
    """Run so many servers, or skip."""
    if not available():
        pytest.skip(NEEDS)
    with servers(count) as nodes:
        yield nodes


def fresh(nodes: list[Node]) -> str:
    """Return the URL of a database that nobody has used."""
    return url_of(nodes, f"calos_{secrets.token_hex(4)}")
