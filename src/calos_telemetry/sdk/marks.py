"""``@feature``: says of a view, or of any function, which feature a call of it uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import aclosing
from functools import wraps
from typing import Any, TypeVar, cast

from calos_telemetry.sdk.obfuscate.names import feature_name
from calos_telemetry.sdk.record.facts import current
from calos_telemetry.sdk.telemetry import telemetry_of

F = TypeVar("F", bound=Callable[..., Any])
_DISPATCHERS = ("dispatch", "dispatch_request")  # Django and Starlette, Flask


def feature(name: str) -> Callable[[F], F]:
    """Mark a view (sync or async, function or class) or any function: each call uses the feature ``name``.

    In a request the request itself carries the feature, so it is counted once, however it was found; a second feature in
    the same request, and a call outside any request, is recorded as a use of its own.
    """
    cleaned = feature_name(name)

    def mark(view: F) -> F:
        marked = _mark_class if isinstance(view, type) else _mark_function
        return cast("F", marked(view, cleaned))

    return mark


def _use(name: str) -> None:
    facts = current.get()
    if facts is not None and facts.queries is not None:  # it is still being answered
        if facts.feature is None:
            facts.feature = name
        if facts.feature == name:
            return
    telemetry = telemetry_of(facts)
    if telemetry is not None:
        telemetry.track_feature(facts, name)


def _mark_function(view: Any, name: str) -> Any:
    return _wrapped(view, lambda: _use(name))


def _mark_class(view: Any, name: str) -> Any:
    for method in _DISPATCHERS:
        inner = getattr(view, method, None)
        if inner is not None:
            setattr(view, method, _mark_function(inner, name))
            break
    return view


def _wrapped(function: Any, use: Callable[[], None]) -> Any:
    """Return ``function`` with ``use`` called first, of the same kind: frameworks tell them apart."""
    if inspect.iscoroutinefunction(function):
        return _wrapped_async(function, use)
    if inspect.isasyncgenfunction(function):
        return _wrapped_stream(function, use)
    if inspect.isgeneratorfunction(function):
        return _wrapped_generator(function, use)

    @wraps(function)
    def sync_view(*args: Any, **kwargs: Any) -> Any:
        use()
        return function(*args, **kwargs)

    return sync_view


def _wrapped_async(function: Any, use: Callable[[], None]) -> Any:
    @wraps(function)
    async def async_view(*args: Any, **kwargs: Any) -> Any:
        use()
        return await function(*args, **kwargs)

    return async_view


def _wrapped_generator(function: Any, use: Callable[[], None]) -> Any:
    @wraps(function)
    def generator_view(*args: Any, **kwargs: Any) -> Any:
        use()
        return (yield from function(*args, **kwargs))

    return generator_view


def _wrapped_stream(function: Any, use: Callable[[], None]) -> Any:
    @wraps(function)
    async def stream_view(*args: Any, **kwargs: Any) -> Any:
        use()
        async with aclosing(function(*args, **kwargs)) as items:
            async for item in items:
                yield item

    return stream_view
