"""Stack traces that arrive as text: Python, Java, Kotlin, JavaScript, Go, Ruby, PHP, C#, Dart, Rust, Elixir, Swift, Lua, Perl."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from calos_telemetry.sdk.obfuscate.frames import Frame

_HEAD: Final = 48_000  # characters read from the beginning of a trace
_TAIL: Final = 16_000  # and from its end, where Python names the exception
_LONGEST_LINE: Final = 1_000
_MOST_LINES: Final = 2_000

_FILE: Final = r"(?P<file>[^\n\"]{1,400}?)"
_LINE: Final = r"(?P<line>\d{1,9})"
_PLACE: Final = rf"{_FILE}:{_LINE}(?::\d{{1,9}})?"  # file:line or file:line:column
_PARENTHESES: Final = r"\([^()\n]{0,400}\)"

_JAVA: Final = (
    r"\s*at (?P<name>(?:[\w.$@-]{1,60}/){0,2}[\w$.<>]{1,300})"
    rf"\((?P<file>[\w$]{{1,100}}\.(?:java|kt|scala|groovy|clj))(?::{_LINE})?\).{{0,300}}"
)
_DOT_NET: Final = (
    rf"\s*at (?P<name>[^\n(]{{1,300}}?) ?{_PARENTHESES}(?<!:\d\))(?<!:\d\d\))(?<!:\d\d\d\))"
    rf"(?: \[0x[0-9a-f]+\])?(?: in {_FILE}:(?:line )?{_LINE})?"
)
_RUBY: Final = (
    r"\s*(?:\d{1,4}: )?(?:from )?(?:[\w.-]{1,80} \([\w.]{1,40}\) )?"
    rf"{_FILE}:{_LINE}:in [`'](?P<name>[^`'\n]{{1,200}})'.{{0,400}}"
)
_ELIXIR: Final = (
    rf"\s*(?:\([\w.-]{{1,60}} [\w.+-]{{1,40}}\) )?{_FILE}:{_LINE}: (?P<name>[A-Za-z_:][\w.!?/:<>-]{{1,200}}/\d+)"
)

_KINDS: Final = tuple(
    re.compile(rf"{pattern}\s*$")
    for pattern in (
        rf'\s*(?:[|+ -]*)File "{_FILE}", line {_LINE}(?:, in (?P<name>.{{1,200}}))?',  # Python
        _JAVA,
        r"\s*at (?P<name>[\w$.<>/-]{1,300})\((?:Native Method|Unknown Source|[^()]{0,100})\)",  # Java without a place
        _DOT_NET,
        rf"\s*at (?:(?P<name>[^\n(]{{1,300}}?) \()?{_PLACE}\)?",  # JavaScript in V8
        r"\s*at (?P<name>[^\n(]{1,200}) \((?P<file>native|<anonymous>|[^()\n]{1,300})\)",  # JavaScript without a line
        rf"#\d{{1,5}}\s+(?P<name>[^\n]{{1,300}}?) \({_FILE}(?::{_LINE})?(?::\d{{1,9}})?\)",  # Dart
        rf"#\d{{1,5}}\s+{_FILE}\({_LINE}\): (?P<name>[\w\\$>:{{}}-]{{1,200}}).{{0,600}}",  # PHP
        r"#\d{1,5}\s+(?:\[internal function\]: )?(?P<name>[\w\\$>:{}-]{1,200}).{0,600}",  # PHP inside the engine
        rf"(?P<name>[\w$.<>/* ()\[\]-]{{0,200}}?)@{_PLACE}",  # JavaScript in Gecko and WebKit
        _RUBY,
        _ELIXIR,
        rf"\t{_FILE}:{_LINE}: in (?:\w{{1,12}} )?(?P<name>'[^'\n]{{1,100}}'|<[^>\n]{{1,200}}>|main chunk|upvalue|\?)",  # Lua
        rf"\t(?P<name>[\w:]{{1,200}})\([^\n]{{0,400}}\) called at {_FILE} line {_LINE}",  # Perl
        rf"\s*\d{{1,3}}\s+(?P<file>[\w.-]{{1,80}})\s+0x[0-9a-f]{{6,16}} (?P<name>.{{1,200}}?) \+ {_LINE}",  # Swift
    )
)
_GO_PLACE: Final = re.compile(rf"\t{_FILE}:(?P<line>\d{{1,9}})(?: \+0x[0-9a-f]+)?\s*$")
_GO_CALL: Final = re.compile(
    r"(?:created by )?(?P<name>[\w./*()\[\]-]{1,200}?(?:\.func[\d.]{1,9})?)(?:\([^()\n]{0,800}\))?(?: in goroutine \d+)?\s*$"
)
_RUST_CALL: Final = re.compile(r"\s*\d{1,4}:\s+(?:0x[0-9a-f]{4,16} - )?(?P<name>\S.{0,300})$")
_RUST_PLACE: Final = re.compile(rf"\s+at {_FILE}:(?P<line>\d{{1,9}})(?::\d{{1,9}})?\s*$")

_PYTHON: Final = "Traceback (most recent call last)"
_GROUP: Final = "Exception Group " + _PYTHON
_MEMBERS: Final = re.compile(r"\s*\+-\+-")
_BOX: Final = re.compile(r"\s*[|+] ")
_BETWEEN: Final = ("During handling of", "The above exception", _PYTHON)
_ERROR: Final = re.compile(
    r"\b[A-Za-z][\w.$\\:]{0,200}(?:Error|Exception|Failure|Fault|Throwable|Interrupt|Warning|Abort|Timeout|NotFound|Exit)\b"
    r"|\bpanic(?:ked)?\b|\bfatal error\b|Uncaught",
)
_CAUSE: Final = re.compile(r"\s*(?:Caused by|Suppressed|Wrapped by|--->)")
_RUST_PANIC: Final = re.compile(r"(thread '[^']{0,100}'(?: \(\d+\))? panicked at) (?!')[^\n]{1,300}?:\d+:\d+:$")
_RUBY_RAISED: Final = re.compile(
    r"in [`'][^`'\n]{1,200}': (?P<said>[^\n]{0,800}) \((?P<kind>[A-Z]\w{0,80}(?:::\w{1,80}){0,6})\)\s*$"
)
_PLACE_IN_TEXT: Final = re.compile(
    r" in (?:/|[A-Za-z]:\\)\S{1,300}(?::\d+| on line \d+)|, (?:\S{0,300}/)?\w+\.rs:\d+:\d+$"
)

_LIBRARY: Final = re.compile(
    r"site-packages|dist-packages|/lib/python\d|\\lib\\|node_modules|node:|internal/|dart:|package:flutter/|/gems/|/rustc/|\.cargo/|/vendor/"
    r"|/usr/local/go/|go/src/(?:net|runtime|reflect|testing)/|/pkg/mod/|<frozen|lib/ruby|\[native|native$|org/mozilla|^\(?[\w-]+ \(",
)
_LIBRARY_NAME: Final = re.compile(
    r"(?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|clojure|android|androidx|dalvik|org\.(?:apache|springframework"
    r"|hibernate|eclipse|mortbay|jboss|junit|gradle|codehaus|jetbrains)|io\.netty|reactor|com\.google|System|Microsoft|Mono|NUnit|Xunit"
    r"|std|core|alloc|tokio|rust_begin_unwind|runtime|reflect|net/http|testing|panic|Zone|_\w+)(?:[.:/(]|$)",
)
_GEM: Final = re.compile(r"\s*[\w.-]{1,80} \(\d[\w.]{0,40}\) ")
_PACKAGES: Final = re.compile(r".*(?:site-packages|dist-packages|node_modules)[/\\]")
_STEM: Final = re.compile(
    r"(?P<stem>[^/\\:]{1,120}?)(?:\.(?:py|js|mjs|cjs|ts|tsx|jsx|rb|php|go|cs|dart|rs|java|kt|exs?|html?|\w{1,10}))?$"
)


def read_trace(text: str) -> tuple[str, list[Frame]]:
    """Return the line that names the exception and the frames, innermost first.  The line is raw: scrub it."""
    if len(text) > _HEAD + _TAIL:
        text = text[:_HEAD] + "\n" + text[-_TAIL:]
    lines = [line[:_LONGEST_LINE] for line in text.splitlines()]
    lines = lines[: _MOST_LINES * 3 // 4] + lines[max(_MOST_LINES * 3 // 4, len(lines) - _MOST_LINES // 4) :]
    if any(_PYTHON in line for line in lines) and any(_KINDS[0].match(line) for line in lines):
        return _read_python(lines)
    frames = list(_read_frames(lines))
    return _exception_of(lines, frames[0][0] if frames else len(lines)), _first_section(lines, frames)


def _read_python(lines: list[str]) -> tuple[str, list[Frame]]:
    """Python prints the innermost frame and the exception last; of several tracebacks the last one is what was raised.

    The members of a group stand behind it, each with a traceback of its own.
    """
    lines = _without_members(lines)
    start = max(number for number, line in enumerate(lines) if _PYTHON in line)
    frames = [(number, frame) for number, frame in _read_frames(lines[start:]) if frame is not None]
    raised = ""
    for line in lines[start + (frames[-1][0] if frames else 0) + 1 :]:
        plain = _BOX.sub("", line, count=1)
        if plain and not plain[0].isspace() and not plain.startswith(_BETWEEN):
            raised = plain
            break
    return raised or "Traceback", [frame for _, frame in reversed(frames)]


def _without_members(lines: list[str]) -> list[str]:
    if not any(_GROUP in line for line in lines):
        return lines
    return lines[: next((number for number, line in enumerate(lines) if _MEMBERS.match(line)), len(lines))]


def _read_frames(lines: list[str]) -> Iterator[tuple[int, Frame]]:
    """Yield each frame with the number of the line it begins on."""
    taken = -1
    for number, line in enumerate(lines):
        if number == taken:
            continue
        frame = _two_line_frame(line, lines[number + 1] if number + 1 < len(lines) else "")
        if frame is not None:
            taken = number + 1
        else:
            frame = _frame_of(line)
        if frame is not None:
            yield number, frame


def _frame_of(line: str) -> Frame | None:
    if len(line) >= _LONGEST_LINE:
        return None
    for kind in _KINDS:
        match = kind.match(line)
        if match is not None:
            parts = match.groupdict()
            return _frame(line, parts.get("file") or "", parts.get("name") or "", parts.get("line") or "0")
    return None


def _two_line_frame(line: str, following: str) -> Frame | None:
    """Go and Rust write the function on one line and the place, indented, on the next."""
    for call, place in ((_GO_CALL, _GO_PLACE), (_RUST_CALL, _RUST_PLACE)):
        where = place.match(following)
        what = call.match(line) if where else None
        if where and what:
            return _frame(line + following, where["file"], what["name"], where["line"])
    return None


def _frame(line: str, file: str, name: str, number: str) -> Frame:
    library = _LIBRARY.search(line) is not None or _LIBRARY_NAME.match(name) is not None or _GEM.match(line) is not None
    name = name.strip() or "?"
    module = _module_of(file)
    if file.endswith((".java", ".kt", ".scala", ".groovy")) or not module:
        module, _, name = name.rpartition("/")[2].rpartition(".")
    return Frame(module or "?", name, int(number), library)


def _module_of(file: str) -> str:
    """Return the path below an installed package, with dots; of any other file its bare name: folders are named by people."""
    packaged = _PACKAGES.match(file)
    if packaged:
        inside = file[packaged.end() :].replace("\\", "/")
        return ".".join(filter(None, _without_ending(inside).split("/")))
    return _without_ending(file.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1].partition("?")[0])


def _without_ending(file: str) -> str:
    match = _STEM.search(file)
    return file[: match.start()] + match["stem"] if match else ""


def _exception_of(lines: list[str], first_frame: int) -> str:
    """Return the first line before the frames that names an error; else the first line with anything on it.

    Ruby says what was raised on the line of the first frame.
    """
    header = [line.strip() for line in lines[:first_frame] if line.strip()]
    for number, line in enumerate(header):
        if _ERROR.search(line):
            panicked = _RUST_PANIC.search(line)
            if panicked and number + 1 < len(header):
                line = f"{panicked[1]}: {header[number + 1]}"  # noqa: PLW2901  Rust says what happened on the next line
            return _PLACE_IN_TEXT.sub("", line)
    if header:
        return header[0]
    raised = _RUBY_RAISED.search(lines[first_frame]) if first_frame < len(lines) else None
    return f"{raised['kind']}: {raised['said']}" if raised else "Exception"


def _first_section(lines: list[str], frames: list[tuple[int, Frame]]) -> list[Frame]:
    """Only the frames of the exception itself, not those of its causes."""
    if not frames:
        return []
    end = next((number for number in range(frames[0][0], len(lines)) if _CAUSE.match(lines[number])), len(lines))
    return [frame for number, frame in frames if number < end]
