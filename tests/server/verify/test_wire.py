"""The body arrives bounded in bytes and in time."""

from __future__ import annotations

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message

from calos_telemetry.contract.report import MAX_WIRE
from calos_telemetry.server.verify import wire

HEADERS = [(b"content-type", b"application/json; charset=utf-8"), (b"content-encoding", b"gzip")]


def read(*messages: Message, then_wait: bool = False) -> bytes:
    """Read a body that arrives as ``messages``."""
    arriving = iter(messages)

    async def receive() -> Message:
        for message in arriving:
            return message
        assert then_wait, "more was asked for than there is"
        await anyio.sleep_forever()
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/verify", "headers": HEADERS, "query_string": b""}
    return anyio.run(wire.read_body, Request(scope, receive))


def part(content: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_body_in_pieces_is_put_together() -> None:
    """Chunks do not matter, up to the last byte that is allowed."""
    assert read(part(b"a" * MAX_WIRE), part(b"", more=False)) == b"a" * MAX_WIRE


def test_one_byte_too_many_ends_it() -> None:
    """The limit is counted, so nobody has to be believed."""
    with pytest.raises(wire.Refusal) as refusal:
        read(part(b"a" * MAX_WIRE), part(b"b"))
    assert refusal.value.status == 413


def test_a_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends nothing more does not hold a place for ever."""
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.01)
    with pytest.raises(wire.Refusal) as refusal:
        read(part(b"a"), then_wait=True)
    assert refusal.value.status == 408


def test_a_cut_connection_is_no_fault_of_ours() -> None:
    """A client that goes away leaves no traceback."""
    with pytest.raises(wire.Refusal) as refusal:
        read(part(b"a"), {"type": "http.disconnect"})
    assert refusal.value.status == 400
