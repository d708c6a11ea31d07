"""From the outbox to ClickHouse: several reports in one insert, by one mover at a time, however many servers there are.

A batch is removed from the outbox only after every shard has it.  Killed in between, the next mover sends it again: the
token makes ClickHouse drop the repeat, and where the batch was cut differently, equal revisions are one row anyway.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, text
from sqlalchemy.exc import SQLAlchemyError

from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.server.intake import outbox
from calos_telemetry.server.intake.outbox import Rows, Waiting
from calos_telemetry.store.clickhouse import ClickHouse
from calos_telemetry.store.migrate import file_lock
from calos_telemetry.store.transactions import lock_number

REPORTS_PER_INSERT = 500
ROWS_PER_INSERT = 100_000  # some 100 MB of memory
_EVERY_SECONDS = 1.0  # reports that come within it travel together
_LONGEST_WAIT_SECONDS = 60.0
_STOP_SECONDS = 65.0  # an insert that is on its way is waited for
_log = logging.getLogger(__name__)


class Mover:
    """Moves what waits in ``books`` to ClickHouse; ``lock`` is the file that SQLite's processes agree on."""

    def __init__(self, books: Engine, clickhouse: ClickHouse, lock: Path) -> None:
        self._books = books
        self._clickhouse = clickhouse
        self._lock = lock
        self._prepared = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="calos-mover", daemon=True)

    def start(self) -> None:
        """Move in the background until :meth:`close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the batch that is on its way; the rest waits for the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def move(self) -> int:
        """Move one batch and return how many reports it had.  Raises :class:`StoreError`; then nothing is removed."""
        with self.alone():
            if not self._prepared:
                self._clickhouse.prepare()
                self._prepared = True
            batch = outbox.oldest(self._books, REPORTS_PER_INSERT, ROWS_PER_INSERT)
            if batch:
                token = _token(batch)
                for table, rows in _merged(report.rows() for report in batch).items():
                    self._clickhouse.insert(table, rows, f"{token}-{table.name}")
                outbox.remove(self._books, batch)
        return len(batch)

    def alone(self) -> AbstractContextManager[None]:
        """Keep every other mover away, in this process and in others."""
        return _session_lock(self._books) if self._books.dialect.name == "postgresql" else file_lock(self._lock)

    def _run(self) -> None:
        wait = _EVERY_SECONDS
        while not self._stopping.wait(wait):
            try:
                while self.move() == REPORTS_PER_INSERT and not self._stopping.is_set():
                    pass  # fewer wait for company: many small inserts are what ClickHouse bears least
                wait = _EVERY_SECONDS
            except (CalosTelemetryError, SQLAlchemyError, OSError) as error:
                wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
                said = str(error) if isinstance(error, CalosTelemetryError) else type(error).__name__
                _log.warning("reports wait for ClickHouse, next try in %.0f s: %s", wait, said)


def _merged(reports: Iterator[Rows]) -> Mapping[Table, Sequence[Mapping[str, Any]]]:
    merged: defaultdict[Table, list[Mapping[str, Any]]] = defaultdict(list)
    for report in reports:
        for table, rows in report.items():
            merged[table].extend(rows)
    return merged


def _token(batch: Sequence[Waiting]) -> str:
    """Return what tells one batch from another: a repeat of the same content has the same."""
    seen = hashlib.sha256()
    for report in batch:
        seen.update(report.id.to_bytes(8, "big") + hashlib.sha256(report.packed).digest())
    return seen.hexdigest()


@contextmanager
def _session_lock(books: Engine) -> Iterator[None]:
    """Hold PostgreSQL's own lock, in a transaction that does nothing else; it ends with its connection."""
    with books.connect() as connection:
        number = lock_number("mover", "calos")
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
        yield
