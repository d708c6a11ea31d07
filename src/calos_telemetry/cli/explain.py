"""``calos-telemetry explain``: which rule changed what in a text, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import click

from calos_telemetry.cli.obfuscate import KINDS, lines, user_hash
from calos_telemetry.sdk.declared import read_declarations
from calos_telemetry.sdk.obfuscate import obfuscate_email, obfuscate_metadata
from calos_telemetry.sdk.obfuscate.emails import OTHER
from calos_telemetry.sdk.obfuscate.messages import explain_message
from calos_telemetry.sdk.obfuscate.metadata import DROPPED
from calos_telemetry.sdk.obfuscate.paths import explain_path
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED
from calos_telemetry.sdk.obfuscate.traces import read_trace
from calos_telemetry.settings import Settings

_DROPPED_BECAUSE = {
    "undeclared": "no such key is declared (CALOS_DECLARATIONS), and its name may be somebody's",
    "expired": "the day until which it may be recorded is over",
    "not_text": "its name is no text",
    "too_deep": "it is nested too deeply",
    "too_many": "there are too many keys",
}


def _message(text: str) -> Iterator[str]:
    for change in explain_message(text):
        yield f"{change.start}-{change.end} {change.placeholder} by rule {change.rule}: {change.why}"


def _stack(text: str) -> Iterator[str]:
    line, frames = read_trace(text.replace("\\n", "\n"))
    yield from _message(line)
    yield f"places: {len(frames)} found, the four nearest to the failure are kept, the application's own first"
    yield "directories, source lines and values of variables are never kept"


def _email(text: str) -> Iterator[str]:
    if obfuscate_email(text) == OTHER:
        yield "no domain of a large public provider: any other domain is a name"
    else:
        yield "the part before the sign is the person; a large public provider is nobody's"


def _metadata(text: str) -> Iterator[str]:
    """Explain each key by itself, as the obfuscator judges it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        yield "this is no JSON object: only declared keys with their values can be kept"
        return
    declarations = read_declarations(Settings.from_environment().declarations)
    for key, value in content.items():
        before = DROPPED.copy()
        kept = obfuscate_metadata({key: value}, declarations)
        yield from (f"{key} is dropped: {_DROPPED_BECAUSE[reason]}" for reason in DROPPED - before)
        for name, shown in kept.items():
            if shown == REDACTED or (isinstance(shown, list) and REDACTED in shown):
                yield f"{name} is {REDACTED}: its value is none that is declared for the key, or it may be money"


def _user(_text: str) -> Iterator[str]:
    yield "HMAC-SHA-256 under the secret of this install: the same user elsewhere has another hash"


_EXPLAINED: dict[str, Callable[[str], Iterator[str]]] = {
    "email": _email,
    "message": _message,
    "metadata": _metadata,
    "path": lambda text: iter(explain_path(text)),
    "stack": _stack,
    "user": _user,
}


@click.command()
@click.option("--kind", type=click.Choice(sorted(_EXPLAINED)), default="message", show_default=True, help="What it is.")
@click.argument("text", required=False)
def explain(kind: str, text: str | None) -> None:
    r"""Say which rule changes what in TEXT (or in each line of standard input), and why.

    Metadata is JSON; a stack trace is one line with \n between its own lines.

    Example: calos-telemetry explain 'login failed for bob@acme.example from 10.0.0.7'
    """
    obfuscated = user_hash() if kind == "user" else KINDS[kind]
    for item in [text] if text is not None else lines():
        click.echo(obfuscated(item))
        for reason in _EXPLAINED[kind](item):
            click.echo(f"  {reason}")
