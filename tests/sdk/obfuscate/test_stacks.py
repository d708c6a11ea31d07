"""What :func:`obfuscate_stack` shows of an exception, alive or written down in any language."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.obfuscate import obfuscate_stack


def raised(function: Callable[[], object]) -> BaseException:
    """Return what ``function`` raises, with its traceback."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001  whatever it is
        return error
    pytest.fail("nothing was raised")


def fail(message: str = "user bob@example.com not found") -> NoReturn:
    raise LookupError(message)


def deep(levels: int) -> object:
    return deep(levels - 1) if levels else fail()


def test_exception_line_then_innermost_first() -> None:
    """The first line names the type and says the scrubbed message; the frames follow, the raise first."""
    lines = obfuscate_stack(raised(fail)).split("\n")

    assert lines[0] == "LookupError: user [EMAIL] not found"
    assert lines[1].startswith(f"{__name__}:fail:")
    assert lines[2].startswith(f"{__name__}:raised:")


def test_recursion_counts_once() -> None:
    """Places that repeat are shown once, and there are never more than five lines."""
    lines = obfuscate_stack(raised(lambda: deep(900))).split("\n")

    assert len(lines) <= 5
    assert len(set(lines)) == len(lines)
    assert sum(":deep:" in line for line in lines) == 1


def test_own_frames_before_library_frames() -> None:
    """Where a library raised, the application's own frames are shown, the library's only to fill the lines."""
    lines = obfuscate_stack(raised(lambda: json.loads("{"))).split("\n")

    assert len(lines) == 5
    assert lines[1].startswith("json.decoder:JSONDecoder.")
    assert lines[-1].startswith(f"{__name__}:raised:")


def test_nothing_but_places() -> None:
    """No path, no source text and no local variable is shown."""
    secret_local = "tr0ub4dor"

    def inside() -> None:
        fail(f"{len(secret_local)}")

    text = obfuscate_stack(raised(inside))

    assert "/" not in text
    assert "tr0ub4dor" not in text
    assert "raise" not in text.replace(":raised:", "")


def test_causes_are_named() -> None:
    """What was raised is shown, with the types of what caused it."""

    def chained() -> None:
        try:
            fail()
        except LookupError as error:
            raise ValueError("bad") from error

    assert obfuscate_stack(raised(chained)).startswith("ValueError: bad (from LookupError)\n")


def test_cause_in_a_circle() -> None:
    """A chain that bites its own tail ends."""
    first, second = ValueError("a"), TypeError("b")
    first.__cause__, second.__cause__ = second, first

    assert obfuscate_stack(first) == "ValueError: a (from TypeError)"


def test_group_names_its_members() -> None:
    """A group says what kinds of exceptions it holds."""
    group = ExceptionGroup("two failed for bob@example.com", [ValueError("x"), KeyError("y")])

    assert obfuscate_stack(group) == "ExceptionGroup: two failed for [EMAIL], [REDACTED] (ValueError) (KeyError)"


@pytest.mark.parametrize(("key", "shown"), [("status", "status"), ("bob", "[VALUE]"), (7, "[VALUE]")])
def test_missing_key_is_a_value(key: object, shown: str) -> None:
    """The key that was missing is data: it is shown only where it is a word of programs."""
    assert obfuscate_stack(KeyError(key)) == f"KeyError: {shown}"


def forbidden(*_: object) -> NoReturn:
    """Stand in every place where a stranger's code could run."""
    time.sleep(60)
    pytest.fail("a stranger's code was run")


READABLE = ("args", "__traceback__", "__cause__", "__context__", "__suppress_context__", "__class__")
HostileMeta = type("HostileMeta", (type,), {"__name__": property(forbidden)})
HostileError = HostileMeta(
    "HostileError",
    (Exception,),
    {"__str__": forbidden, "__repr__": forbidden} | dict.fromkeys(READABLE, property(forbidden)),
)


def test_hostile_exception() -> None:
    """No method of the exception runs: its slots are read as the interpreter itself reads them."""
    hostile: Any = HostileError("to bob@example.com")

    assert obfuscate_stack(hostile).startswith("HostileError: to [EMAIL]")


def test_hostile_module_name() -> None:
    """Code that runs under a made-up module name shows a question mark."""
    space: dict[str, object] = {"__name__": "bob@example.com"}
    exec("def f():\n    raise ValueError", space)  # noqa: S102  the case itself

    lines = obfuscate_stack(raised(space["f"])).split("\n")  # type: ignore[arg-type]

    assert lines[1] == "?:f:2"


@pytest.mark.parametrize("value", [None, 7, object(), ["x"], b"Traceback"])
def test_anything_else_is_redacted(value: Any) -> None:
    """What is neither an exception nor a text is not read."""
    assert obfuscate_stack(value) == "[REDACTED]"


TRACES = {
    "python": (
        (
            'Traceback (most recent call last):\n  File "/home/bob/app/views.py", line 12, in show\n    return load(7)\n'
            '  File "/home/bob/env/lib/python3.11/site-packages/django/db/models/query.py", line 650, in get\n    raise X\n'
            "shop.errors.NotFound: no order for bob@example.com\n"
        ),
        "shop.errors.NotFound: no order for [EMAIL]\ndjango.db.models.query:get:650\nviews:show:12",
    ),
    "java": (
        (
            "com.acme.PaymentException: card 4111111111111111 declined\n"
            "\tat com.acme.pay.Gateway.charge(Gateway.java:88)\n\tat java.base/java.lang.Thread.run(Thread.java:833)\n"
            "Caused by: java.io.IOException: x\n\tat com.acme.Net.open(Net.java:5)\n"
        ),
        "com.acme.PaymentException: card [CARD] declined\ncom.acme.pay.Gateway:charge:88\njava.lang.Thread:run:833",
    ),
    "javascript": (
        (
            "TypeError: bad mail bob@example.com\n    at next (/Users/bob/app/node_modules/express/lib/router.js:25:14)\n"
            "    at /Users/bob/app/server.js:52:3\n    at async Cart.total (file:///Users/bob/app/cart.mjs:7:1)\n"
        ),
        "TypeError: bad mail [EMAIL]\nexpress.lib.router:next:25\nserver:?:52\ncart:async?Cart.total:7",
    ),
    "go": (
        (
            "panic: no user bob@example.com\n\ngoroutine 1 [running]:\nmain.load(0x1)\n\t/home/bob/src/main.go:9 +0x1d\n"
            "main.main()\n\t/home/bob/src/main.go:4 +0x20\n"
        ),
        "panic: no user [EMAIL]\nmain:main.load:9\nmain:main.main:4",
    ),
    "ruby": (
        (
            "NoMethodError (undefined method `x' for nil): for bob@example.com\n/home/bob/app/models/user.rb:69:in `load'\n"
            "/home/bob/app/run.rb:3:in `<main>'\n"
        ),
        "NoMethodError (undefined method `x' for nil): for [EMAIL]\nuser:load:69\nrun:<main>:3",
    ),
    "php": (
        (
            "PHP Fatal error:  Uncaught Exception: no bob@example.com in /home/bob/a.php:60\nStack trace:\n"
            "#0 /home/bob/b.php(20): load(Object(Closure), 'bob')\n#1 {main}\n"
        ),
        "PHP Fatal error:  Uncaught Exception: no [EMAIL]\nb:load:20\n?:?main?:0",
    ),
    "csharp": (
        (
            "System.IO.IOException: no bob@example.com\n   at Shop.Cart.Load(String id) in C:\\Users\\bob\\Cart.cs:line 12\n"
            "   at Shop.Program.Main() in C:\\Users\\bob\\Program.cs:line 3\n"
        ),
        "System.IO.IOException: no [EMAIL]\nCart:Shop.Cart.Load:12\nProgram:Shop.Program.Main:3",
    ),
    "dart": (
        "Unhandled exception:\nRangeError (index): bob@example.com\n#0      main (file:///home/bob/lib/main.dart:31:23)\n",
        "RangeError (index): [EMAIL]\nmain:main:31",
    ),
    "rust": (
        (
            "thread 'main' panicked at src/main.rs:5:5:\nno user bob@example.com\nstack backtrace:\n"
            "   0: shop::load\n             at /home/bob/shop/src/main.rs:5:5\n"
        ),
        "thread 'main' panicked at: no user [EMAIL]\nmain:shop::load:5",
    ),
    "ruby, uncaught": (
        (
            "/home/bob/app/cart.rb:12:in `total': undefined method `x' for bob@example.com (NoMethodError)\n"
            "\tfrom /home/bob/app/till.rb:31:in `close'\n"
        ),
        "NoMethodError: undefined method `x' for [EMAIL]\ncart:total:12\ntill:close:31",
    ),
    "python, a group": (
        (
            '  + Exception Group Traceback (most recent call last):\n  |   File "/home/bob/jobs.py", line 7, in run\n'
            "  |     async with group:\n  | ExceptionGroup: 1 failed (1 sub-exception)\n  +-+---------------- 1 ----------------\n"
            '    | Traceback (most recent call last):\n    |   File "/home/bob/jobs.py", line 3, in one\n    |     raise X\n'
            "    | ValueError: bob@example.com\n    +------------------------------------\n"
        ),
        "ExceptionGroup: 1 failed (1 sub-exception)\njobs:run:7",
    ),
    "lua": (
        "lua: no bob@example.com\nstack traceback:\n\t/home/bob/pos.lua:7: in function 'total'\n\t[C]: in ?\n",
        "lua: no [EMAIL]\npos:?total?:7",
    ),
    "perl": (
        'Error: no bob@example.com\n\tmain::close("bob", 42) called at /home/bob/till.pl line 20\n',
        "Error: no [EMAIL]\ntill:main::close:20",
    ),
}


@pytest.mark.parametrize("language", TRACES)
def test_text_traces(language: str) -> None:
    """The traces of other languages become the same five lines, without the folders of their authors."""
    text, expected = TRACES[language]

    assert obfuscate_stack(text) == expected


def test_text_without_frames() -> None:
    """A text without frames is its exception line."""
    assert obfuscate_stack("ValueError: bad mail bob@example.com") == "ValueError: bad mail [EMAIL]"
    assert obfuscate_stack("") == "Exception"


@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(st.sampled_from([line for text, _ in TRACES.values() for line in text.split("\n")])).map("\n".join),
    )
)
def test_any_text(text: str) -> None:
    """Any text at all gives one to five lines and no folder of a person."""
    output = obfuscate_stack(text)

    assert 1 <= len(output.split("\n")) <= 5
    assert "/home/bob" not in output
    assert "bob@" not in output


@pytest.mark.parametrize(
    "piece",
    ["a", " at ", "#1 ", "File ", "\n", "\tx.go:1\n", "at a(b:1:1)\n", "(" * 50, "x@y:1:1\n", "Caused by: ", "| + "],
)
def test_huge_texts(piece: str) -> None:
    """A megabyte of anything is read in bounded time and gives five lines at most."""
    start = time.process_time()

    output = obfuscate_stack(piece * (1_000_000 // len(piece)))

    assert len(output.split("\n")) <= 5
    assert time.process_time() - start < 2


def test_source_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk opens no file."""
    error = raised(fail)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was opened"))
    monkeypatch.setattr(logging, "log", lambda *_: pytest.fail("something was logged"))

    assert obfuscate_stack(error).startswith("LookupError")
