"""A bounded load on a server on loopback: keep-alive connections that ask again as soon as they are answered."""

from __future__ import annotations

import asyncio
import time

REQUEST = (
    b"GET /api/r%d/%d/items HTTP/1.1\r\nhost: shop.example.com\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"
    b" Gecko/20100101 Firefox/140.0\r\naccept: */*\r\naccept-encoding: gzip\r\ncookie: session=0123456789abcdef\r\n\r\n"
)


async def _connection(port: int, until: float, first: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    while time.monotonic() < until:
        writer.write(REQUEST % ((first + done) % 40, (first + done) % 5_000))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        done += 1
    writer.close()
    return done


async def load(port: int, seconds: float, connections: int = 16) -> int:
    """Return how many requests were answered within ``seconds``."""
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_connection(port, until, number * 97) for number in range(connections))))
