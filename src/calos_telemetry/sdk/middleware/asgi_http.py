"""An HTTP request under ASGI: what goes through ``receive`` and ``send`` says all there is to know of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from calos_telemetry.sdk.protocols import Message, Receive, Send
from calos_telemetry.sdk.record.facts import RequestFacts


def counting(facts: RequestFacts, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Return ``receive`` and ``send`` that note in ``facts`` what goes through them."""

    async def counting_receive() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            facts.request_bytes += len(message.get("body", b""))
        elif not facts.whole:  # after the whole response, every server says that the client is gone
            facts.disconnected = True
        return message

    async def counting_send(message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            size = len(message.get("body", b""))
            facts.response_bytes += size
            facts.whole = not message.get("more_body")
            if facts.began_us is not None or not facts.whole:
                facts.note_piece(size)
        elif kind == "http.response.start":
            facts.note_status(message["status"])
            facts.is_page = _is_page(message.get("headers", ()))
        elif kind in _BY_THE_SERVER:
            facts.whole = not message.get("more_body")
            facts.response_bytes += _size_of_file(message)
        try:
            await send(message)
        except OSError as error:
            facts.disconnected, facts.cut = True, error
            raise

    return counting_receive, counting_send


def _is_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    if iter(headers) is headers:  # ASGI allows what can be looked at only once: that is the server's
        return False
    for name, value in headers:
        if name == b"content-type":  # ASGI: names are in lower case
            return value.startswith(b"text/html")
    return False


_BY_THE_SERVER = frozenset({"http.response.pathsend", "http.response.zerocopysend"})


def _size_of_file(message: Message) -> int:
    """Return the size of what the server sends without us, as far as the message tells."""
    try:
        return Path(message["path"]).stat().st_size if "path" in message else int(message.get("count") or 0)
    except (OSError, TypeError, ValueError):  # the server will find out, too
        return 0
