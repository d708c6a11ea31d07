"""``track_transaction``: something the product does as a whole (a checkout, an import), how long it takes, and whether it works."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import aclosing
from functools import wraps
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from calos_telemetry.sdk.record.facts import current
from calos_telemetry.sdk.telemetry import telemetry_of

F = TypeVar("F", bound=Callable[..., Any])


class Transaction:
    """One transaction: a context manager (``with`` and ``async with``), or a decorator of sync and async functions.

    An exception that leaves it makes it a failed one, of the category of that exception, and goes on its way.
    """

    __slots__ = ("_failure", "_name", "_started")

    def __init__(self, name: str) -> None:
        self._name = name
        self._failure: str | None = None
        self._started: list[int] = []

    def fail(self, category: str = "other") -> None:
        """Say that the transaction failed although no exception leaves it, and in which category of failure."""
        self._failure = category

    def __enter__(self) -> Self:
        self._started.append(perf_counter_ns())
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        ended = perf_counter_ns()
        started = self._started.pop() if self._started else ended
        failure, self._failure = self._failure, None
        _record(self._name, (ended - started) // 1_000, failure if error is None else error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, at)

    def __call__(self, function: F) -> F:
        """Return ``function`` with a transaction around each call."""
        return cast("F", _around(function, self._name))


def track_transaction(name: str) -> Transaction:
    """Return a transaction of that name, to be entered (``with``, ``async with``) or put on a function (``@``).

    Works in sync and async code, in threads, in background tasks and outside any request; transactions may be nested, and
    each is recorded on its own.
    """
    return Transaction(name)


def _record(name: str, duration_us: int, failure: BaseException | str | None) -> None:
    facts = current.get()
    telemetry = telemetry_of(facts)
    if telemetry is not None:
        telemetry.attempt(lambda pipeline: pipeline.transaction(name, duration_us, facts, failure))


def _around(function: Any, name: str) -> Any:
    if inspect.iscoroutinefunction(function):
        return _around_async(function, name)
    if inspect.isgeneratorfunction(function):
        return _around_generator(function, name)
    if inspect.isasyncgenfunction(function):
        return _around_stream(function, name)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Transaction(name):
            return function(*args, **kwargs)

    return call


def _around_async(function: Any, name: str) -> Any:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with Transaction(name):
            return await function(*args, **kwargs)

    return call


def _around_generator(function: Any, name: str) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Transaction(name):
            return (yield from function(*args, **kwargs))

    return call


def _around_stream(function: Any, name: str) -> Any:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with Transaction(name):
            async with aclosing(function(*args, **kwargs)) as items:
                async for item in items:
                    yield item

    return call
