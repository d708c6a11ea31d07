"""``python -m shop --port 8000``: run the shop; port 0 takes a free one, and the first line says which."""

from __future__ import annotations

import argparse
import socket
import sys

import uvicorn


class AnnouncingServer(uvicorn.Server):
    """Says where it listens as soon as it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            sys.stdout.write(f"Shop on http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends it)\n")
            sys.stdout.flush()


def main() -> None:
    """Listen and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m shop", description="Run the example shop.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    try:
        listening = socket.create_server((arguments.host, arguments.port), family=family)
    except (OSError, OverflowError) as error:
        reason = str(error).partition(" (")[0]
        sys.exit(f"the shop cannot listen on {arguments.host} port {arguments.port} ({reason}): give another --port")
    config = uvicorn.Config("shop.main:app", log_level="warning", timeout_keep_alive=60)
    with listening:
        AnnouncingServer(config).run([listening])


if __name__ == "__main__":
    main()
