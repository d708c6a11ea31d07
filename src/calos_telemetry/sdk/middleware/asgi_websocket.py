"""A websocket connection as one request: when it was accepted, how long it was open, the bytes of its messages."""

from __future__ import annotations

from calos_telemetry.sdk.protocols import Message, Receive, Send
from calos_telemetry.sdk.record.facts import RequestFacts

STYLE = "websocket"
OPENED = 101
REFUSED = 403  # what servers answer when the application closes before it accepts
NOT_FOUND = 404
_LOST = 1006  # the connection broke; every other code was said by one side


def counting(facts: RequestFacts, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Return ``receive`` and ``send`` that note in ``facts`` what goes through them."""
    facts.style = STYLE

    async def counting_receive() -> Message:
        message = await receive()
        kind = message["type"]
        if kind == "websocket.receive":
            facts.request_bytes += _size(message)
        elif kind == "websocket.disconnect" and not facts.whole:
            facts.disconnected = facts.status != OPENED or message.get("code") == _LOST
        return message

    async def counting_send(message: Message) -> None:
        _note_sent(facts, message)
        try:
            await send(message)
        except OSError as error:
            facts.disconnected, facts.cut = True, error
            raise

    return counting_receive, counting_send


def _note_sent(facts: RequestFacts, message: Message) -> None:
    kind = message["type"]
    if kind == "websocket.send":
        facts.response_bytes += _size(message)
    elif kind == "websocket.accept":
        facts.status, facts.streams, facts.began_us = OPENED, True, facts.elapsed_us()
    elif kind == "websocket.close":
        facts.status, facts.whole = facts.status or REFUSED, True
    elif kind == "websocket.http.response.start":
        facts.note_status(message["status"])
    elif kind == "websocket.http.response.body":
        facts.response_bytes += len(message.get("body", b""))
        facts.whole = not message.get("more_body")


def _size(message: Message) -> int:
    data = message.get("bytes")
    if data is None:
        data = (message.get("text") or "").encode("utf-8", "surrogatepass")
    return len(data)
