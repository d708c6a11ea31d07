"""Marks in every input place of a running application: nobody finds a piece of one in any file, log line or sent byte."""

from __future__ import annotations

import gzip
import sqlite3

import pytest

from calos_telemetry.testing.canaries import inflated
from calos_telemetry.testing.marks import KINDS, Marks

from .conftest import Run

PLACES = {
    "URL path", "path that no route has", "path without a router", "query", "body", "user agent", "referrer", "cookie",
    "authorization", "header", "language", "forwarded address", "real address", "connecting address", "forwarded",
    "Host header", "exception text", "exception in a chain", "cause of an exception", "exception group",
    "member of a group", "missing key", "SQL statement", "SQL parameters", "metadata key", "metadata value",
    "error context", "context key", "feature name", "user id", "session id",
}  # fmt: skip


def test_all_places_were_planted(done: Run) -> None:
    """The run reached every place, and what it recorded is there to be searched."""
    assert {mark.place for mark in done.marks} == PLACES
    assert {mark.kind for mark in done.marks} == set(KINDS)
    assert done.events > 450
    database = done.files[str(done.home / "telemetry.db")]
    for raised in (b"RuntimeError", b"OperationalError", b"ValueError", b"ExceptionGroup", b"KeyError"):
        assert raised in database
    assert any("telemetry.db" in name for name in done.files)
    assert any("/vendor/" in name for name in done.files)
    assert b'"telemetry":{"number":' in done.sent
    assert done.log


def test_no_file_holds_a_mark(done: Run) -> None:
    """Spool, databases, journals, keys, compressed bodies, of the install and of the vendor: no piece of any mark."""
    leaks = {name: found for name, content in done.files.items() if (found := done.marks.found(content))}
    assert leaks == {}


def test_no_sent_byte_belongs_to_a_mark(done: Run) -> None:
    """What went over the wire, headers and inflated bodies, both ways, holds no piece of any mark."""
    assert done.marks.found(done.sent) == []


def test_no_log_line_holds_a_mark(done: Run) -> None:
    """Whatever this package and its libraries log, at any level, holds no piece of any mark."""
    assert done.marks.found("\n".join(done.log).encode()) == []


def test_no_page_of_the_operator_holds_a_mark(done: Run) -> None:
    """The operator's page, summary and report hold no piece of any mark."""
    for page, content in done.pages.items():
        assert len(content) > 100, page
        assert done.marks.found(content) == [], page


@pytest.mark.parametrize("kind", KINDS)
def test_the_search_finds_what_is_there(kind: str) -> None:
    """A leak of any kind, whole or six characters of it, raw or compressed, would be found: the search itself works."""
    marks = Marks()
    text = marks.of("here", kind)
    (mark,) = marks
    assert marks.found(b"nothing") == []
    assert marks.found(b"x" + text.encode() + b"x")
    for piece in mark.pieces():
        assert marks.found(b"<" + piece + b">")
    assert marks.found(b"".join(inflated(b"head" + gzip.compress(text.encode()) + b"tail")))


def test_a_failure_noted_by_a_handler_has_the_routers_template(done: Run) -> None:
    """The route is known while the handler runs: nothing of the path is guessed, so nothing of it can be kept."""
    with sqlite3.connect(done.home / "telemetry.db") as database:
        templates = {path for (path,) in database.execute("SELECT DISTINCT path FROM telemetry_errors")}
    database.close()
    assert templates == {"/find/:id", "/fail/:id"}
