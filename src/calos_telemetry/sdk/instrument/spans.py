"""What the attributes of a span say, in the names of today's semantic conventions and of those before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from calos_telemetry.sdk.instrument.statements import OTHER, series_of
from calos_telemetry.sdk.record.facts import RequestFacts

Attributes = Mapping[str, Any]

_METHOD = ("http.request.method", "http.method")
_HOST = ("http.server_name", "http.host", "server.address", "net.host.name")
_PATH = ("url.path", "http.target", "http.url", "url.full")
_SYSTEM = ("db.system.name", "db.system")
_STATEMENT = ("db.query.text", "db.statement")
_OPERATION = ("db.operation.name", "db.operation")
_TABLE = ("db.collection.name", "db.sql.table")
_TEXTS = {
    "route": ("http.route",),
    "user_agent": ("user_agent.original", "http.user_agent"),
    "address": ("client.address", "http.client_ip", "net.peer.ip"),
    "user": ("user.id", "enduser.id"),
    "session": ("session.id",),
}
_NUMBERS = {
    "status": ("http.response.status_code", "http.status_code"),
    "request_bytes": ("http.request.body.size", "http.request_content_length"),
    "response_bytes": ("http.response.body.size", "http.response_content_length"),
}
_LONGEST_SYSTEM = 20
_LAST_STATUS = 999


def text_of(attributes: Attributes, names: tuple[str, ...]) -> str | None:
    """Return the first of the named attributes that is a text."""
    for name in names:
        value = attributes.get(name)
        if type(value) is str and value:
            return value
    return None


def _number_of(attributes: Attributes, names: tuple[str, ...]) -> int:
    for name in names:
        value = attributes.get(name)
        if type(value) is int:
            return value
    return 0


def is_request(attributes: Attributes) -> bool:
    """Say whether these are the attributes of an HTTP request."""
    return text_of(attributes, _METHOD) is not None


def is_database(attributes: Attributes) -> bool:
    """Say whether these are the attributes of a database query."""
    return text_of(attributes, _SYSTEM) is not None


def read_request(facts: RequestFacts, attributes: Attributes) -> None:
    """Bring what the attributes say into the facts; called when the span begins and again when it ends."""
    facts.method = text_of(attributes, _METHOD) or facts.method
    facts.host = text_of(attributes, _HOST) or facts.host
    path = text_of(attributes, _PATH)
    if path is not None:
        facts.path = urlsplit(path).path or "/"
    for field, names in _TEXTS.items():
        if (text := text_of(attributes, names)) is not None:
            setattr(facts, field, text)
    for field, names in _NUMBERS.items():
        number = _number_of(attributes, names)
        if number > 0:
            setattr(facts, field, number)
    facts.status = min(facts.status, _LAST_STATUS)


def series_of_span(attributes: Attributes) -> str:
    """Return operation and table of a database span: from its statement, else from what it says of itself."""
    statement = text_of(attributes, _STATEMENT)
    if statement is None:
        operation, table = text_of(attributes, _OPERATION), text_of(attributes, _TABLE)
        into = {"INSERT": "INTO", "UPDATE": ""}.get((operation or "").upper(), "FROM")
        statement = f"{operation} {into} {table}" if table else operation
    series = series_of(statement)
    system = text_of(attributes, _SYSTEM) or ""
    known = system.isascii() and system.replace("_", "").replace(".", "").isalpha() and len(system) <= _LONGEST_SYSTEM
    return f"{OTHER} {system}" if series == OTHER and known else series
