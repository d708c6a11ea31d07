"""Material of our own, from many frameworks, languages and countries: wholly invented, each secret marked ``<<KIND:value>>``.

The rules were written before these lines were, and mended only in principle after them.  Add lines when a new kind of text
turns up: the shares below hold for all of it.
"""

from __future__ import annotations

import re
from pathlib import Path

from calos_telemetry.sdk.obfuscate import obfuscate_message, obfuscate_path

FOLDER = Path(__file__).parent / "labelled"
MARKED = re.compile(r"<<(?P<kind>\w+):(?P<value>.*?)>>(?=>?)")
BY_CONTEXT = {"PASSWORD", "USERNAME", "USERPATH", "USER_ID", "NATIONAL_ID"}
"""Kinds that mostly the words around them give away."""
MATRIX = re.compile(r";[^/]*")


def lines(name: str) -> list[str]:
    """Return the lines of one file."""
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def plain(line: str) -> str:
    """Return a line as the program meets it."""
    return MARKED.sub(lambda mark: mark["value"], line)


def survives(value: str, line: str) -> bool:
    """Say whether more of ``value`` is left than the unmarked rest of the line says anyway."""
    answer, rest = obfuscate_message(plain(line)), MARKED.sub("\0", line)
    return answer.count(value) > rest.count(value)


def test_people_in_messages() -> None:
    """At most 1.5 % of what has a shape of its own is left in messages, and at most 12 % of what only context gives away."""
    found = [(mark["kind"], mark["value"], line) for line in lines("messages") for mark in MARKED.finditer(line)]
    left = [(kind, value) for kind, value, line in found if survives(value, line)]
    by_context = [kind for kind, *_ in found if kind in BY_CONTEXT]
    missed = [kind for kind, _ in left if kind in BY_CONTEXT]

    assert (len(left) - len(missed)) / (len(found) - len(by_context)) <= 0.015, left
    assert len(missed) / len(by_context) <= 0.12, left


def test_messages_without_people() -> None:
    """Of ordinary error texts in many languages at most 1 % are touched at all."""
    touched = [line for line in lines("clean") if obfuscate_message(line) != line]

    assert len(touched) / len(lines("clean")) <= 0.01, touched


def test_paths() -> None:
    """97 % of paths become exactly the right template, and of the words in them 99.3 % are kept."""
    expected = {plain(line): MATRIX.sub("", MARKED.sub(":id", line)) for line in lines("paths")}
    wrong = {path: obfuscate_path(path) for path, template in expected.items() if obfuscate_path(path) != template}
    words = [
        (word, path) for path, template in expected.items() for word in template.split("/") if word not in {"", ":id"}
    ]
    lost = [(word, path) for word, path in words if word not in obfuscate_path(path).split("/")]

    assert len(wrong) / len(expected) <= 0.03, wrong
    assert len(lost) / len(words) <= 0.007, lost
