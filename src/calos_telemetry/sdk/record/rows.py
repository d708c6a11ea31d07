"""The events of a batch as rows: what requests have in common is taken apart once for all that are alike.

Every other kind of event is rare enough to be taken apart one by one; a test holds both ways to the same rows.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.events import CLIENT, TYPE_NAMES, VARYING, ApiRequest
from calos_telemetry.sdk.rollup.batch import AlikeRequests, Batch, Client, client_of
from calos_telemetry.store.event_rows import EventRow, LastUse, Row, insert_rows, number_parts, write_events
from calos_telemetry.store.event_shapes import Part, take_apart

_REQUEST = TYPE_NAMES[ApiRequest]
_to_json = msgspec.json.Encoder().encode


def write_batch(connection: Connection, batch: Batch) -> None:
    """Store the events of a batch, none of which is stored yet."""
    others = [
        EventRow(one.event_id, one.at, TYPE_NAMES[type(one.event)], msgspec.to_builtins(one.event))
        for one in batch.others
    ]
    write_events(connection, batch.install_id, others)
    _write_requests(connection, batch)


def _write_requests(connection: Connection, batch: Batch) -> None:
    used = LastUse()
    parts = [_common(alike, used) for alike in batch.alike]
    clients = {client: _seen_with(client, day, used) for day, client in batch.clients}
    numbers = number_parts(connection, batch.install_id, used)
    number_of = {client: part and numbers[part] for client, part in clients.items()}
    bytes_of = _Hashes()
    rows: list[Row] = []
    for alike, part in zip(batch.alike, parts, strict=True):
        number = numbers[part]
        rows += [
            (
                asked.at,
                bytes.fromhex(asked.event_id),
                number,
                number_of[client_of(request)],
                request.duration_us,
                request.request_bytes or None,
                request.response_bytes or None,
                request.database_us or None,
                request.database_queries or None,
                bytes_of[request.session],
                bytes_of[request.user],
                None if request.streamed_us is None else _to_json({"streamed_us": request.streamed_us}).decode(),
            )
            for asked in alike.requests
            for request in (asked.event,)
        ]
    insert_rows(connection, rows)


def _common(alike: AlikeRequests, used: LastUse) -> Part:
    """Return what the requests have in common."""
    fields = msgspec.to_builtins(alike.like)
    for name in (*VARYING, *CLIENT):
        fields.pop(name, None)
    part = take_apart(_REQUEST, fields).part
    used.note(part, alike.requests[0].at)
    return part


def _seen_with(client: Client, day: int, used: LastUse) -> Part | None:
    """Return what the requests of one client have in common."""
    known = {name: value for name, value in zip(CLIENT, client, strict=True) if value is not None}
    part = take_apart(_REQUEST, known).client
    used.note(part, day * MS_PER_DAY)
    return part


class _Hashes(dict[str | None, bytes | None]):
    """Keyed hash in hex digits → its bytes."""

    def __missing__(self, text: str | None) -> bytes | None:
        found = self[text] = None if text is None else bytes.fromhex(text)
        return found
