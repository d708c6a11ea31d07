"""Stack traces without people: what was raised and the four places nearest to it, five lines, innermost first."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Final, cast

from calos_telemetry.sdk.obfuscate.boundary import fail_closed
from calos_telemetry.sdk.obfuscate.frames import Frame, chosen
from calos_telemetry.sdk.obfuscate.messages import obfuscate_message
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED, VALUE
from calos_telemetry.sdk.obfuscate.words import is_wordy

_LONGEST_MESSAGE: Final = 400  # characters of the exception line behind the type
_DEEPEST: Final = 100_000  # tracebacks walked at most
_NEAREST: Final = 64  # of these the four are chosen
_MOST_CAUSES: Final = 3
_MOST_MEMBERS: Final = 3
_LINE_BREAKS: Final = re.compile(r"\s*[\r\n\v\f\x85\u2028\u2029]+\s*")
_IDENTIFIER: Final = re.compile(r"[\w.<>$-]+")
_STANDARD_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  a comparison of strings, made often
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@fail_closed
def obfuscate_stack(error: BaseException | str) -> str:
    """Return at most five lines: ``Type: scrubbed message``, then ``module:function:line`` for the four nearest places.

    A live exception is walked frame by frame: no source is read, no local is touched, no method of the exception is
    called.  A text is read as the trace of any common language.  Anything else is ``[REDACTED]``.
    """
    if issubclass(type(error), BaseException):
        raised = cast("BaseException", error)
        return "\n".join([exception_line(raised), *map(str, chosen(_frames(raised)))])
    if issubclass(type(error), str):
        from calos_telemetry.sdk.obfuscate.traces import read_trace  # noqa: PLC0415  patterns most installs never need

        line, frames = read_trace(str.__str__(cast("str", error)))
        return "\n".join([one_line(line), *(one_line(str(frame)) for frame in chosen(frames))])
    return REDACTED


def one_line(text: str) -> str:
    """Return ``text`` scrubbed, on one line."""
    return _LINE_BREAKS.sub(" ", obfuscate_message(text, _LONGEST_MESSAGE))


def exception_line(error: BaseException) -> str:
    """Return ``Type: scrubbed message``, and the types of what caused it or is grouped in it."""
    said = one_line_of(error)
    line = f"{_type_name(error)}: {said}" if said else _type_name(error)
    related = [f"({_type_name(member)})" for member in _members(error)]
    related += [f"(from {_type_name(cause)})" for cause in _causes(error)]
    return " ".join([line, *related])


def one_line_of(error: BaseException) -> str:
    """Return what the exception says, scrubbed, on one line."""
    if issubclass(type(error), KeyError):
        return _missing_key(error)
    return _LINE_BREAKS.sub(" ", obfuscate_message(error, _LONGEST_MESSAGE))


def _missing_key(error: BaseException) -> str:
    """Show a missing key, which is no message but a value: only a known word may stay."""
    arguments = BaseException.__dict__["args"].__get__(error)
    key = arguments[0] if arguments else ""
    return key if type(key) is str and is_wordy(key) else VALUE


def _type_name(error: BaseException) -> str:
    """Read the name from the type object itself: a class may answer ``__name__`` with anything."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name if _IDENTIFIER.fullmatch(name) else "Exception"


def _members(error: BaseException) -> list[BaseException]:
    if not issubclass(type(error), BaseExceptionGroup):
        return []
    members: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(error)
    return list(members[:_MOST_MEMBERS])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the chain behind the exception, as Python itself would print it: the explicit cause, else the implicit one."""
    seen = {id(error)}
    for _ in range(_MOST_CAUSES):
        following = _cause(error)
        if following is None or id(following) in seen:
            return
        seen.add(id(following))
        yield following
        error = following


def _cause(error: BaseException) -> BaseException | None:
    """Read the slots of :class:`BaseException`, not what a subclass put over them."""
    slots = BaseException.__dict__
    cause: BaseException | None = slots["__cause__"].__get__(error)
    if cause is not None or slots["__suppress_context__"].__get__(error):
        return cause
    context: BaseException | None = slots["__context__"].__get__(error)
    return context


def _frames(error: BaseException) -> list[Frame]:
    """Return the nearest frames, innermost first.  Line numbers are looked up only for these: that is the dear part."""
    nearest: deque[TracebackType] = deque(maxlen=_NEAREST)
    step: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    for _ in range(_DEEPEST):
        if step is None:
            break
        nearest.append(step)
        step = step.tb_next
    return list(_distinct(nearest))


def _distinct(nearest: deque[TracebackType]) -> Iterator[Frame]:
    seen: set[tuple[CodeType, int]] = set()
    for step in reversed(nearest):
        frame = step.tb_frame
        place = (frame.f_code, step.tb_lasti)
        if place not in seen:
            seen.add(place)
            module = dict.get(frame.f_globals, "__name__")
            yield _frame(frame.f_code, module if type(module) is str else "", step.tb_lineno)


@lru_cache(maxsize=4096)
def _frame(code: CodeType, module: str, line: int) -> Frame:
    name = module if _IDENTIFIER.fullmatch(module) else "?"
    function = code.co_qualname if _IDENTIFIER.fullmatch(code.co_qualname) else "?"
    return Frame(name, function, line or 0, _is_library(code.co_filename))


def _is_library(file: str) -> bool:
    return file.startswith((_STANDARD_LIBRARY, "<frozen ")) or any(folder in file for folder in _INSTALLED)
