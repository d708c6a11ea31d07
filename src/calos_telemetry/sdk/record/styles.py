"""The style of a route: REST, GraphQL, RPC, WebSocket, page or static file."""

from __future__ import annotations

from functools import lru_cache

_STATIC = (".css", ".js", ".mjs", ".map", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp", ".avif", ".woff",
           ".woff2", ".ttf", ".pdf", ".zip", ".txt", ".xml", ".mp4", ".webm")  # fmt: skip
_STATIC_FOLDER = "static"  # where every framework serves them by default, and the template has no name of a file
_RPC = frozenset({"rpc", "jsonrpc", "json-rpc", "xmlrpc", "grpc", "trpc"})


@lru_cache(maxsize=4_096)
def style_of(template: str, is_page: bool) -> str:
    """Return the style of a route template; ``is_page`` says that the answer was HTML."""
    segments = template.lower().split("/")
    if "graphql" in segments:
        return "graphql"
    if not _RPC.isdisjoint(segments):
        return "rpc"
    if segments[-1].endswith(_STATIC) or _STATIC_FOLDER in segments:
        return "static"
    return "page" if is_page else "rest"
