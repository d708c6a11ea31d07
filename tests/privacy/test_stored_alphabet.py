"""Every text that is stored or sent stays inside the catalogue's alphabets and lengths, whatever visitors put in."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.declarations import Declarations
from calos_telemetry.contract.events import CATEGORIES, METHODS, STYLES
from calos_telemetry.contract.report import VerifyRequest, inflate
from calos_telemetry.sdk.obfuscate.placeholders import PLACEHOLDERS
from calos_telemetry.store.tables import telemetry

from .conftest import Run

_HASH = re.compile(r"[0-9a-f]{16}")
_PATH = re.compile(r"\((?:unmatched|rare|other)\)|(?=.{1,200}\Z)/[A-Za-z0-9/:._~$()-]*")
_NAME = re.compile(r"[\w.:/-]{1,120}")
_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,500}")
_FRAME = re.compile(r"[\w.<>$?-]+:[\w.<>$?-]+:\d+")


def _stack(text: str) -> bool:
    first, *frames = text.split("\n")
    return len(frames) <= 4 and bool(_LINE.fullmatch(first)) and all(_FRAME.fullmatch(frame) for frame in frames)


RULES: dict[str, Callable[[Any], object]] = {
    "path": _PATH.fullmatch,
    "method": lambda text: text in METHODS | {"OTHER"},
    "feature": _NAME.fullmatch,
    "name": _NAME.fullmatch,
    "user": _HASH.fullmatch,
    "session": _HASH.fullmatch,
    "message": _LINE.fullmatch,
    "stack": _stack,
    "category": lambda text: text in CATEGORIES,
    "error": lambda text: text in CATEGORIES,
    "style": lambda text: text in STYLES,
    "browser": lambda text: re.fullmatch(r"[A-Za-z0-9 ._-]{1,40}", text),
    "os": lambda text: re.fullmatch(r"[A-Za-z0-9 ._-]{1,40}", text),
    "country": lambda text: re.fullmatch(r"[A-Z]{2}", text),
    "metric": lambda text: re.fullmatch(r"[a-z_]{1,40}", text),
}


def events_of(done: Run) -> Iterator[dict[str, Any]]:
    """Yield the stored events as an operator reads them."""
    with sqlite3.connect(done.home / "telemetry.db") as database:
        rows = database.execute("SELECT event_type, event_data FROM telemetry_events").fetchall()
    database.close()
    for event_type, data in rows:
        if isinstance(data, str):
            yield {"event_type": event_type, **msgspec.json.decode(data)}


def report_of(done: Run) -> VerifyRequest:
    """Return the newest report that left."""
    with sqlite3.connect(done.home / "telemetry.db") as database:
        (body,) = database.execute("SELECT body FROM telemetry_reports WHERE rows > 0").fetchone()
    database.close()
    return msgspec.json.decode(inflate(body), type=VerifyRequest)


def test_texts_of_events(done: Run) -> None:
    """Each text of each event matches the alphabet and the length of its field; a field without a rule fails."""
    seen = set()
    for event in events_of(done):
        for field, value in event.items():
            if isinstance(value, str) and field != "event_type":
                seen.add(field)
                assert RULES[field](value), f"{field}: {value!r}"
    assert {"path", "method", "feature", "name", "user", "session", "message", "stack"} <= seen


def test_metadata_of_events(done: Run) -> None:
    """Each value is a placeholder, a flag, a number, or a word that the declaration of its key lists."""
    known = Declarations()
    kept = [event[field] for event in events_of(done) for field in ("metadata", "context") if event.get(field)]
    assert kept
    for metadata in kept:
        for key, value in metadata.items():
            assert re.fullmatch(r"[A-Za-z0-9_.:()-]{1,120}", key)
            for one in value if isinstance(value, list) else [value]:
                declaration = known.find(key.rpartition(".")[2])
                listed = isinstance(one, str) and declaration is not None and declaration.canonical(one) == one
                assert listed or one in PLACEHOLDERS or not isinstance(one, str), f"{key}: {one!r}"


def test_texts_that_left(done: Run) -> None:
    """The same holds for each row of the report as it was sent."""
    report = report_of(done).telemetry
    assert report is not None
    assert report.rows() > 10
    for error in report.errors:
        assert error.path is None or _PATH.fullmatch(error.path)
        assert _NAME.fullmatch(error.name)
        assert _LINE.fullmatch(error.message)
        assert _stack(error.stack)
    assert all(_PATH.fullmatch(row.path) for row in report.performance if row.metric.endswith("request"))
    assert all(_NAME.fullmatch(row.feature) for row in report.features)
    assert {row.counter for row in report.aggregates} <= COUNTER_NAMES
    assert all(re.fullmatch(r"[\w.:/=() -]{0,200}", row.key) for row in report.aggregates)


@pytest.mark.parametrize("table", sorted(telemetry.tables))
def test_lengths_of_columns(done: Run, table: str) -> None:
    """No text is longer than its column says, though SQLite itself would not mind."""
    with sqlite3.connect(done.home / "telemetry.db") as database:
        for column in telemetry.tables[table].columns:
            length = getattr(column.type, "length", None)
            if length is not None:
                query = f'SELECT max(length("{column.name}")) FROM {table}'
                (longest,) = database.execute(query).fetchone()
                assert (longest or 0) <= length, column.name
    database.close()
