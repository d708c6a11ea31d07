"""Leak, over-redaction and speed of our obfuscators beside other tools: the same data, one run, interleaved.

    python benchmarks/obfuscation.py [FOLDER] [--rounds N] [--page FILE]

It writes the page ``docs/benchmarks/obfuscation.md``, which is never edited by hand.
FOLDER holds the labelled corpora and ``score.py``, which defines every figure; it is ``../shared/data/privacy`` where
nothing is said.  Speed is processor time for texts not seen before: in each round every tool in turn works through the same
sample, and the median over the rounds is given with the least and the most.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parent))

import peers
from calos_telemetry.sdk.obfuscate import (
    detectors,
    messages,
    obfuscate_message,
    obfuscate_metadata,
    obfuscate_path,
    obfuscate_stack,
    paths,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "privacy"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "obfuscation.md"
SAMPLE = 200
_USUAL = range(150, 261)  # characters
OURS = "calos-telemetry"
HOSTILE = ("1 ", "600 123 ", "user ", "a@", "12-34-", "customer: ", "password=", "f:", "A1b2", "https://a/b1/", "'a ")
Call = Callable[[Any], Any]
T = TypeVar("T")


def main() -> None:
    """Write the Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    if not (asked.folder / "score.py").exists():
        print(f"Skipped: the labelled corpora are not in {asked.folder.name}; name their folder.")
        return
    warnings.simplefilter("ignore")
    asked.page.write_text("\n".join(page(asked.folder, asked.rounds)) + "\n", encoding="utf-8")
    print(f"Written: {asked.page}")


def page(folder: Path, rounds: int) -> Iterator[str]:
    """Yield the lines of the page."""
    scorer = load_scorer(folder)
    yield "# Obfuscation: what leaks, what is lost, what it costs"
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}; `make bench`."
    yield "Corpora, tiers and figures are those of the scorer of the labelled corpora (not in this repository)."
    yield "This is the half that we built with; a second half, from other sources, is kept away from us."
    yield from of_blind_rounds()
    yield "Lower is better, except where it says *kept* or *exact*. µs: median (least to most) of processor time an item."
    for title, section in SECTIONS.items():
        yield f"\n## {title}\n"
        yield from section(scorer, folder, rounds)


def of_blind_rounds() -> Iterator[str]:
    """Yield what the tables cannot say: how rules do on texts that were written after them."""
    yield "On texts that nobody had built with, written before each look at them, messages leaked 14 % (182 texts from thirty"
    yield "frameworks), 15 % (188 others, the first mended), 6 % (840 by template, thirty locales) and 3.4 % (710 by other templates); of"
    yield "what has a shape of its own 6.1 %, 5.8 %, 3.5 % and 0.6 %. Of 8,464 messages in the packages of a Python environment, unseen"
    yield "too, 0.4 % were touched. So the tables below say what the rules do on texts like those that they were built with."


def of_messages(scorer: ModuleType, folder: Path, rounds: int) -> Iterator[str]:
    """Yield the table of messages."""
    tools: dict[str, Call] = {OURS: obfuscate_message, **(yield from made(peers.MESSAGES))}
    said, clean = rows(folder, "messages"), rows(folder, "clean")
    dirty_us = interleaved(tools, [row["text"] for row in said if row["spans"]], rounds)
    clean_us = interleaved(tools, [row["text"] for row in clean], rounds)
    yield "| tool | leak, hard and context | leak, hard | other words lost | clean texts altered | µs with hits | µs without |"
    yield "|---|---|---|---|---|---|---|"
    for name, tool in tools.items():
        got = scorer.score_text(said, tool, options(), "messages")
        kept = scorer.score_clean(clean, tool, options())
        cells = (got["leak_hard_context"], got["leak_hard"], got["collateral_words_lost"], kept["altered"])
        yield f"| {named(name)} | {percents(cells)} | {dirty_us[name]} | {clean_us[name]} |"


def of_traces(scorer: ModuleType, folder: Path, rounds: int) -> Iterator[str]:
    """Yield the table of stack traces; the peers get them as texts."""
    tools: dict[str, Call] = {OURS: obfuscate_stack, **(yield from made(peers.MESSAGES))}
    traces = rows(folder, "traces")
    spent = interleaved(tools, [row["text"] for row in traces], rounds)
    yield "| tool | leak, hard and context | exception type kept | at most five lines | µs |"
    yield "|---|---|---|---|---|"
    for name, tool in tools.items():
        got = scorer.score_text(traces, tool, options(), "traces")
        cells = (got["leak_hard_context"], got["exception_type_kept"], got["at_most_5_lines"])
        yield f"| {named(name)} | {percents(cells)} | {spent[name]} |"


def of_paths(scorer: ModuleType, folder: Path, rounds: int) -> Iterator[str]:
    """Yield the table of paths."""
    tools: dict[str, Call] = {OURS: obfuscate_path, **(yield from made(peers.PATHS))}
    asked = rows(folder, "paths")
    spent = interleaved(tools, [row["path"] for row in asked], rounds)
    yield "| tool | exact where it can be known | identifiers found | static segments kept | personal values left | µs |"
    yield "|---|---|---|---|---|---|"
    for name, tool in tools.items():
        got = scorer.score_paths(asked, tool, options())
        keys = ("exact_detectable", "opaque_param_recall", "static_segment_kept", "sensitive_leak")
        yield f"| {named(name)} | {percents([got[key] for key in keys])} | {spent[name]} |"


def of_metadata(scorer: ModuleType, folder: Path, rounds: int) -> Iterator[str]:
    """Yield the table of metadata; the speed is that of ordinary objects, hostile ones are scored only."""
    tools: dict[str, Call] = {OURS: obfuscate_metadata, **(yield from made(peers.METADATA))}
    given = rows(folder, "metadata")
    ordinary = [row["input"] for row in given if row["category"] != "hostile"]
    spent = interleaved(tools, ordinary, rounds)
    yield "| tool | values left that must not be | flags and choices kept | hostile objects that raise or give no JSON | µs |"
    yield "|---|---|---|---|---|"
    for name, tool in tools.items():
        got = scorer.score_metadata(given, tool, options())
        cells = (got["leak_without_hostile"], got["keep_rate"])
        yield f"| {named(name)} | {percents(cells)} | {len(got['crashes']) + got['not_json']} | {spent[name]} |"


def of_ours(_scorer: ModuleType, folder: Path, rounds: int) -> Iterator[str]:
    """Yield what ours costs by kind of text: one of 150 to 260 characters, seen before or not, and a live exception."""
    said, clean = ([row for row in rows(folder, name) if len(row["text"]) in _USUAL] for name in ("messages", "clean"))
    samples = {
        "message of 150 to 260 characters with somebody in it": (
            [row["text"] for row in said if row["spans"]],
            obfuscate_message,
        ),
        "message of 150 to 260 characters with nobody in it": ([row["text"] for row in clean], obfuscate_message),
        "live exception, 21 frames": ([raised()], obfuscate_stack),
    }
    yield "| input | µs, never seen | µs, seen lately |"
    yield "|---|---|---|"
    for name, (items, tool) in samples.items():
        cold = interleaved({name: tool}, items, rounds)[name]
        warm = interleaved({name: tool}, items, rounds, keep=True)[name]
        yield f"| {name} | {cold} | {warm} |"


def of_hostile(_scorer: ModuleType, _folder: Path, rounds: int) -> Iterator[str]:
    """Yield what texts made to hurt cost, the dearest first: a kilobyte of the same piece again and again."""
    yield "The same piece again and again, 4 KiB, the longest text that is read; linear growth from 1 KiB is a factor of 4."
    yield ""
    yield "| piece | µs per KiB | growth from 1 to 4 KiB |"
    yield "|---|---|---|"
    cost: dict[str, tuple[float, float]] = {}
    for piece in HOSTILE:
        long, short = (piece * 4096)[:4096], (piece * 1024)[:1024]
        spent = [(processor_time(long), processor_time(short)) for _ in range(rounds)]
        least_long, least_short = (min(times) for times in zip(*spent, strict=True))
        cost[piece] = least_long / 4, least_long / least_short
    for piece, (each, growth) in sorted(cost.items(), key=lambda item: item[1], reverse=True):
        yield f"| `{piece}` | {each * 1e6:,.0f} | {growth:.1f} |"


def processor_time(text: str) -> float:
    """Return the seconds that one search of ``text`` takes."""
    started = time.process_time()
    detectors.find(text)
    return time.process_time() - started


def raised() -> BaseException:
    """Return an exception with a traceback of some depth."""

    def deep(levels: int) -> object:
        return deep(levels - 1) if levels else json.loads('{"mail": bob@example.com}')

    try:
        deep(20)
    except ValueError as error:
        return error
    raise AssertionError


SECTIONS: dict[str, Callable[[ModuleType, Path, int], Iterator[str]]] = {
    "Messages": of_messages,
    "Stack traces": of_traces,
    "Paths without a route": of_paths,
    "Metadata": of_metadata,
    "Ours by kind of text": of_ours,
    "Ours on texts made to hurt": of_hostile,
}


def made(tools: Mapping[str, Callable[[], T]]) -> Iterator[str]:
    """Make the peers; yield a sentence for each that is not installed.  Returns those that are."""
    ready: dict[str, T] = {}
    for name, make in tools.items():
        try:
            ready[name] = make()
        except ImportError as error:
            yield f"{name} is skipped: {error.name or error} is not installed.\n"
    return ready


def interleaved(tools: Mapping[str, Call], items: Sequence[Any], rounds: int, *, keep: bool = False) -> dict[str, str]:
    """Return microseconds an item: in each round every tool works through the same sample, in another order.

    Our caches are emptied before each round unless ``keep`` is set.
    """
    shuffled = random.Random(1)
    sample = shuffled.sample(list(items), min(SAMPLE, len(items)))
    spent: dict[str, list[float]] = {name: [] for name in tools}
    for tool in tools.values():
        for item in sample:
            tool(item)  # compiles what is compiled at first use
    for _ in range(rounds):
        for name in shuffled.sample(list(tools), len(tools)):
            if not keep:
                forget()
            started = time.process_time()
            for item in sample:
                tools[name](item)
            spent[name].append((time.process_time() - started) / len(sample) * 1e6)
    return {
        name: f"{statistics.median(times):,.1f} ({min(times):,.1f} to {max(times):,.1f})"
        for name, times in spent.items()
    }


def forget() -> None:
    """Empty our caches: what is measured is the work, not the memory."""
    messages._RECENT.clear()  # noqa: SLF001 - there is no other way to it, and nothing else should want it
    paths.path_template.cache_clear()
    paths._segment.cache_clear()  # noqa: SLF001


def named(name: str) -> str:
    """Return a tool's name with its version, where it is a package."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def percents(values: Sequence[float]) -> str:
    """Return cells of a table."""
    return " | ".join(f"{value:.1f} %" for value in values)


def options() -> SimpleNamespace:
    """Return what the scorer asks for."""
    return SimpleNamespace(show=0, seconds=0, fit=False)


def load_scorer(folder: Path) -> ModuleType:
    """Import the corpora's own scorer."""
    spec = importlib.util.spec_from_file_location("privacy_score", folder / "score.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder.name} holds no score.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the labelled rows of one corpus."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
