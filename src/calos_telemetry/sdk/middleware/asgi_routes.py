"""Which route of the application answered: read from what the framework left in the scope after the request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from functools import lru_cache
from typing import Any

TEMPLATE = "calos.template"
"""Where an adapter leaves the pattern that its framework does not leave in the scope."""
TAGS = "calos.tags"
"""Likewise, the names of what the route belongs to."""
LITESTAR_TEMPLATE = "path_template"
_UNEXPLAINED = "/{mounted}"


def route_of(scope: MutableMapping[str, Any], root: str) -> str | None:
    """Return the route pattern with its mount prefix, or ``None`` where the framework does not say.

    ``root`` is the root path the server gave: what lies between it and the final root path are mounts.
    """
    path = _path_of(scope)
    if path is not None:
        mounted: str = scope.get("root_path", "")[len(root) :]
        return _mounts(_Same(scope.get("router")), mounted) + path if mounted else path or None
    endpoint = scope.get("endpoint")
    if endpoint is None or "app" not in scope:
        return scope.get(LITESTAR_TEMPLATE) or scope.get(TEMPLATE)
    return _patterns(scope["app"]).get(id(endpoint))


def tags_of(scope: MutableMapping[str, Any]) -> Sequence[object]:
    """Return the tags of the route that answered, with those of the routers around it (FastAPI, Litestar)."""
    resolve = getattr(scope.get("route_handler"), "resolve_tags", None)
    if resolve is not None:
        return tuple(resolve())
    tags = getattr(_included(scope) or scope.get("route"), "tags", None)
    return tags if isinstance(tags, list) else scope.get(TAGS, ())


def _path_of(scope: MutableMapping[str, Any]) -> str | None:
    """Return the pattern of a FastAPI route; of one below ``include_router`` with the prefixes it was included under."""
    route, included = scope.get("route"), _included(scope)
    if included is not None:
        route = included.starlette_route or included
    if hasattr(route, "routes"):  # a mounted application that has no route of its own, or none that matched
        return ""
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _included(scope: MutableMapping[str, Any]) -> Any:
    return scope["fastapi"].get("effective_route_context") if "fastapi" in scope else None


class _Same:
    """An object by its identity: a router of Starlette cannot be hashed."""

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


@lru_cache(maxsize=1_024)
def _mounts(router: _Same, mounted: str) -> str:
    """Return the pattern of the mounts behind the root path ``mounted``, which holds the values of their parameters.

    What no mount of the outermost ``router`` explains is a parameter as a whole: it may be a tenant's name.
    """
    return _mount_pattern(router.it, mounted) or _UNEXPLAINED


def _mount_pattern(router: Any, path: str) -> str | None:
    for route in getattr(router, "routes", None) or ():
        expression = getattr(route, "path_regex", None)
        found = expression.match(path + "/") if expression is not None and hasattr(route, "routes") else None
        if found is None:
            continue
        rest = found.groupdict().get("path", "").rstrip("/")
        inner = _mount_pattern(route, "/" + rest) if rest else ""
        if inner is not None:
            return str(route.path) + inner
    return None


@lru_cache(maxsize=64)
def _patterns(app: Any) -> dict[int, str]:
    """Return the pattern of each endpoint that exactly one route of a Starlette application leads to."""
    found: dict[int, set[str]] = {}
    for endpoint, pattern in _walk(getattr(app, "routes", ()), ""):
        found.setdefault(id(endpoint), set()).add(pattern)
    return {endpoint: patterns.pop() for endpoint, patterns in found.items() if len(patterns) == 1}


def _walk(routes: Iterable[Any], prefix: str) -> Iterator[tuple[object, str]]:
    for route in routes:
        pattern = prefix + getattr(route, "path", "")
        if getattr(route, "endpoint", None) is not None:
            yield route.endpoint, pattern
        yield from _walk(getattr(route, "routes", None) or (), pattern)
