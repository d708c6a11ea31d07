"""How much the free-text functions leak, how much they take too much, and what they cost.

Run it with the folder of the labelled corpora, whose ``score.py`` defines every figure::

    python benchmarks/obfuscation.py ../shared/data/privacy

``cold`` is the processor time for a text never seen before, ``again`` for one seen lately; both in microseconds.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from calos_telemetry.sdk.obfuscate import messages, obfuscate_message, obfuscate_stack

PASSES = 5


def main(folder: Path) -> None:
    """Print one line of figures for each corpus."""
    scorer = load_scorer(folder)
    options = SimpleNamespace(show=0, seconds=0)
    clean = scorer.score_clean(rows(folder, "clean"), obfuscate_message, options)
    said = scorer.score_text(rows(folder, "messages"), obfuscate_message, options, "messages")
    traces = scorer.score_text(rows(folder, "traces"), obfuscate_stack, options, "traces")
    report("messages", said, ("leak_hard_context", "leak_hard", "leak_context", "collateral_words_lost"))
    report("clean texts", clean, ("altered", "chars_lost"))
    report("stack traces", traces, ("leak_hard_context", "exception_type_kept", "at_most_5_lines"))
    print("\nmicroseconds of processor time    cold   again")
    for name, texts in samples(folder).items():
        print(f"{name:32s} {cost(texts, forget=True):6.1f} {cost(texts, forget=False):7.1f}")
    error = raised()
    print(f"{'a live exception':32s} {cost([error], obfuscate_stack, forget=True):6.1f}")


def load_scorer(folder: Path) -> ModuleType:
    """Import the corpora's own scorer."""
    spec = importlib.util.spec_from_file_location("privacy_score", folder / "score.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder} holds no score.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the labelled rows of one corpus."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def report(name: str, figures: dict[str, Any], keys: Sequence[str]) -> None:
    """Print the figures of one corpus, in per cent."""
    print(f"{name:14s}", "  ".join(f"{key.replace('_', ' ')} {figures[key]:.2f} %" for key in keys))


def samples(folder: Path) -> dict[str, list[str]]:
    """Return texts by length and by whether anybody is in them."""
    said = [row["text"] for row in rows(folder, "messages") if row["spans"]]
    clean = [row["text"] for row in rows(folder, "clean")]
    return {
        "a message with somebody in it": said,
        "the same, 150 to 260 characters": [text for text in said if 150 <= len(text) <= 260],  # noqa: PLR2004
        "a message with nobody in it": clean,
        "the same, 150 to 260 characters ": [text for text in clean if 150 <= len(text) <= 260],  # noqa: PLR2004
    }


def cost(texts: Sequence[object], function: Callable[[Any], str] = obfuscate_message, *, forget: bool) -> float:
    """Return microseconds per text, the best of several passes over all of them."""
    best = float("inf")
    repeat = max(1, 500 // len(texts))
    for _ in range(PASSES):
        spent = 0.0
        for _ in range(repeat):
            if forget:
                messages._RECENT.clear()  # noqa: SLF001  what is measured is the work, not the memory
            start = time.process_time()
            for text in texts:
                function(text)
            spent += time.process_time() - start
        best = min(best, spent / repeat / len(texts))
    return best * 1e6


def raised() -> BaseException:
    """Return an exception with a traceback of some depth."""

    def deep(levels: int) -> object:
        return deep(levels - 1) if levels else json.loads('{"mail": bob@example.com}')

    try:
        deep(20)
    except ValueError as error:
        return error
    raise AssertionError


if __name__ == "__main__":
    main(Path(sys.argv[1]))
