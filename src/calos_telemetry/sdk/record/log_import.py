"""An access log into the database: as exact as a drain, and repeatable without counting a line twice."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Engine

from calos_telemetry.clock import date_of
from calos_telemetry.errors import LogFormatError, SettingsError, StoreError
from calos_telemetry.sdk.obfuscate.clients import client_of
from calos_telemetry.sdk.obfuscate.identifiers import Identifiers
from calos_telemetry.sdk.obfuscate.paths import obfuscate_path
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record.access_log import Line, LineIds, Malformed, read_log, to_event
from calos_telemetry.sdk.record.spool import DrainLock
from calos_telemetry.sdk.record.storing import restricted, store_lines
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.settings import EVENTS_PER_DAY
from calos_telemetry.store.database import writing
from calos_telemetry.store.log_lines import DIGITS

LINES_PER_TRANSACTION = 5_000
_PATIENCE = 60.0
_SHOWN = 10


@dataclass(slots=True)
class Imported:
    """What an import did: lines read, events new to the database, lines left out (the first few by number and why)."""

    lines: int = 0
    new: int = 0
    malformed: int = 0
    first_malformed: list[Malformed] = field(default_factory=list)

    @property
    def known(self) -> int:
        """Return how many lines had been imported before."""
        return self.lines - self.malformed - self.new


class LogImport:
    """Turns each line into an obfuscated ``api_request`` with its own time, moved by ``shift_ms``."""

    def __init__(
        self,
        directory: Path,
        engine: Engine,
        install_id: str,
        policy: Policy,
        secret: bytes,
        *,
        shift_ms: int = 0,
        events_per_day: int = EVENTS_PER_DAY,
    ) -> None:
        self._directory = directory
        self._engine = engine
        self._install_id = install_id
        self._policy = policy
        self._ids = LineIds(secret)
        self._user_of = Identifiers(secret).user
        self._session_of = _Visitors().session
        self._shift_ms = shift_ms
        self._events_per_day = events_per_day

    def run(self, stream: BinaryIO, on_progress: Callable[[], object] = lambda: None) -> Imported:
        """Import every line of ``stream``; ``on_progress`` is called after each transaction.

        Raises :class:`SettingsError` when the policy forbids collecting, :class:`LogFormatError` when no line is of a
        known format, :class:`StoreError` when another process keeps draining.
        """
        if not self._policy.store().allowed:
            raise SettingsError(f"nothing was imported: {self._policy.store().reason}")
        done = Imported()
        with DrainLock(self._directory, timeout=_PATIENCE) as elected:
            if not elected:
                raise StoreError("another process is moving telemetry into the database: try again in a minute")
            lines = read_log(stream)
            while some := list(islice(lines, LINES_PER_TRANSACTION)):
                self._store(some, done)
                on_progress()
        if done.lines and done.lines == done.malformed:
            raise LogFormatError(f"none of {done.lines} lines is in the common or combined log format")
        return done

    def _store(self, lines: list[Line | Malformed], done: Imported) -> None:
        done.lines += len(lines)
        with writing(self._engine) as connection:
            events = restricted(list(self._events(lines, done)), self._policy.file.restrictions)
            done.new += store_lines(connection, self._install_id, events, self._events_per_day)

    def _events(self, lines: list[Line | Malformed], done: Imported) -> Iterator[Stored]:
        for line in lines:
            if isinstance(line, Malformed):
                done.malformed += 1
                done.first_malformed += [line] if len(done.first_malformed) < _SHOWN else []
                continue
            event = to_event(
                line,
                path_of=obfuscate_path,
                client_of=_families,
                session_of=self._session_of,
                user_of=self._user_of,
            )
            yield Stored(self._ids.of(line)[:DIGITS], line.at_ms + self._shift_ms, event)


def last_moment(stream: BinaryIO) -> int:
    """Return the latest time in a log, unix ms.  Raises :class:`LogFormatError` when it holds no readable line."""
    latest = max((line.at_ms for line in read_log(stream) if isinstance(line, Line)), default=None)
    if latest is None:
        raise LogFormatError("the log holds no line in the common or combined format")
    return latest


class _Visitors:
    """Session hashes without cookies: address and user agent under a key of the day that is never written anywhere.

    The keys live as long as the import does, so nobody can compute a visitor's hash afterwards, not even the operator.
    """

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}

    def session(self, line: Line) -> str:
        key = self._keys.setdefault(date_of(line.at_ms), secrets.token_bytes(32))
        return hmac.digest(key, f"{line.address}\x00{line.user_agent}".encode(), "sha256").hex()[:16]


def _families(user_agent: str) -> tuple[str | None, str | None]:
    client = client_of(user_agent)
    return client.browser, client.os
