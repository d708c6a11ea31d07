"""How the store is written to: one transaction at a time, on either engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that takes the write lock at once, so that it can never fail half way for want of it."""
    with engine.connect().execution_options(calos_write=True) as connection, connection.begin():
        yield connection
