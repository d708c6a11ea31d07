"""How the store is written to: one transaction at a time, on either engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that takes the write lock at once, so that it can never fail half way for want of it."""
    with engine.connect().execution_options(calos_write=True) as connection, connection.begin():
        yield connection


def lock_number(purpose: str, schema: str) -> int:
    """Return the number of an advisory lock on PostgreSQL: ours alone among all that an application may use."""
    mark = hashlib.sha256(f"calos-telemetry:{purpose}:{schema}".encode()).digest()
    return int.from_bytes(mark[:8], "big", signed=True)
