"""The targets, on the labelled corpora beside the repository (for tests only: their licences keep them out of it)."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from calos_telemetry.sdk.obfuscate import obfuscate_message, obfuscate_stack

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "privacy"

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the privacy corpora are not beside this repository")


def scorer() -> ModuleType:
    """Import the corpora's own scorer."""
    spec = importlib.util.spec_from_file_location("privacy_score", CORPUS / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(name: str) -> list[dict[str, Any]]:
    """Return the labelled rows of one corpus."""
    return [json.loads(line) for line in (CORPUS / f"{name}.jsonl").read_text().splitlines()]


def score_text(name: str, function: Callable[[Any], str]) -> dict[str, Any]:
    """Score one function on one corpus."""
    options = SimpleNamespace(show=0, seconds=0)
    result: dict[str, Any] = scorer().score_text(rows(name), function, options, name)
    return result


def test_messages() -> None:
    """At most 3 % of hard and context spans leak (1.5 % of the hard ones), and at most 2 % of other words are lost."""
    result = score_text("messages", obfuscate_message)

    assert result["errors"] == 0
    assert result["leak_hard_context"] <= 3
    assert result["leak_hard"] <= 1.5
    assert result["collateral_words_lost"] <= 2


def test_clean_texts() -> None:
    """Of texts without anybody in them at most 3 % are touched, and at most 0.3 % of their characters are lost."""
    result = scorer().score_clean(rows("clean"), obfuscate_message, SimpleNamespace(show=0, seconds=0))

    assert result["altered"] <= 3
    assert result["chars_lost"] <= 0.3


def test_traces() -> None:
    """At most 1 % of spans in stack traces leak; the exception's type stays; never more than five lines."""
    result = score_text("traces", obfuscate_stack)

    assert result["leak_hard_context"] <= 1
    assert result["exception_type_kept"] >= 99
    assert result["at_most_5_lines"] == 100
