"""Exceptions that nobody caught: in the main thread, in other threads, in the event loop, and in the log.

Everything here is switched on by an explicit call and can be switched off again.  Hooks that were there before are called
after ours, with the same arguments; what is chained in front of ours later keeps working when ours is taken away.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any

from calos_telemetry.sdk.obfuscate.frames import Frame
from calos_telemetry.sdk.record.facts import current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

_OWN_LOGGER = "calos_telemetry"


def watch_exceptions(telemetry: Telemetry, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
    """Record exceptions that end the program or a thread, and with ``loop`` those that its tasks and callbacks lose.

    Return what ends it.  The loop is not watched by itself, because an exception handler belongs to whoever runs the loop.
    """
    hooks: list[_Hook] = [_MainHook(telemetry), _ThreadHook(telemetry)]
    if loop is not None:
        hooks.append(_LoopHook(telemetry, loop))

    def end() -> None:
        for hook in reversed(hooks):
            hook.end()

    return end


class _Hook:
    """A hook in a chain: records, then calls what was there before.  Taken out, it only calls what was there before."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry: Telemetry | None = telemetry
        self._before: Any = self.swap(self)

    def swap(self, hook: Any) -> Any:
        """Put ``hook`` in its place and return what was there."""
        raise NotImplementedError

    def end(self) -> None:
        """Stop recording; step out of the chain unless somebody has chained on to us."""
        self._telemetry = None
        top = self.swap(self._before)
        if top is not self:
            self.swap(top)

    def note(self, error: object) -> None:
        """Record an exception; leaving on purpose is none."""
        if self._telemetry is not None and isinstance(error, Exception):
            self._telemetry.track_error(current.get(), error)


class _MainHook(_Hook):
    def swap(self, hook: Any) -> Any:
        before, sys.excepthook = sys.excepthook, hook
        return before

    def __call__(self, kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        self.note(error)
        self._before(kind, error, at)


class _ThreadHook(_Hook):
    def swap(self, hook: Any) -> Any:
        before, threading.excepthook = threading.excepthook, hook
        return before

    def __call__(self, arguments: threading.ExceptHookArgs) -> None:
        self.note(arguments.exc_value)
        self._before(arguments)


class _LoopHook(_Hook):
    def __init__(self, telemetry: Telemetry, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        super().__init__(telemetry)

    def swap(self, hook: Any) -> Any:
        before = self._loop.get_exception_handler()
        self._loop.set_exception_handler(hook)
        return before

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.note(context.get("exception"))
        if self._before is None:
            loop.default_exception_handler(context)
        else:
            self._before(loop, context)


_logging: ContextVar[bool] = ContextVar("calos_telemetry_logging", default=False)


class TelemetryLogHandler(logging.Handler):
    """Records what the application logs as an error: the exception, or the template of the message without its arguments.

    ``logging.getLogger().addHandler(TelemetryLogHandler(telemetry))``.  An exception that is recorded already, by the
    middleware or by hand, is not recorded again.
    """

    def __init__(self, telemetry: Telemetry, level: int = logging.ERROR) -> None:
        super().__init__(level)
        self._telemetry = telemetry

    def emit(self, record: logging.LogRecord) -> None:
        """Record one log record; our own log, and what we log while recording, is passed over."""
        if record.name.partition(".")[0] == _OWN_LOGGER or _logging.get():
            return
        token = _logging.set(True)
        try:
            self._record(record)
        finally:
            _logging.reset(token)

    def _record(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        facts = current.get()
        if isinstance(error, Exception):
            self._telemetry.track_error(facts, error)
        elif error is None:
            template = record.msg if type(record.msg) is str else type(record.msg).__name__
            where = Frame(record.module, record.funcName, record.lineno, library=False)
            self._telemetry.attempt(lambda pipeline: pipeline.logged(record.name, template, where, facts))
