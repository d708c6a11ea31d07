"""``calos-telemetry obfuscate``: what the obfuscators make of a text, one item a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import click

from calos_telemetry.cli.printing import as_line
from calos_telemetry.sdk.declared import read_declarations
from calos_telemetry.sdk.obfuscate import (
    obfuscate_email,
    obfuscate_message,
    obfuscate_metadata,
    obfuscate_path,
    obfuscate_stack,
    obfuscate_user_id,
)
from calos_telemetry.sdk.obfuscate.identifiers import load_secret
from calos_telemetry.sdk.obfuscate.placeholders import REDACTED
from calos_telemetry.settings import Settings


def lines() -> Iterator[str]:
    """Yield the lines of standard input, whatever bytes they hold."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _metadata(line: str) -> str:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return REDACTED
    declarations = read_declarations(Settings.from_environment().declarations)
    return json.dumps(obfuscate_metadata(content, declarations), ensure_ascii=False)


def _stack(line: str) -> str:
    return as_line(obfuscate_stack(line.replace("\\n", "\n")))


def _whole() -> Iterator[str]:
    yield sys.stdin.buffer.read(_LONGEST).decode("utf-8", "replace")


_LONGEST = 1 << 24  # bytes of one item

KINDS: dict[str, Callable[[str], str]] = {
    "email": obfuscate_email,
    "message": obfuscate_message,
    "metadata": _metadata,
    "path": obfuscate_path,
    "stack": _stack,
}


@click.command()
@click.option("--kind", type=click.Choice([*sorted(KINDS), "user"]), required=True, help="What each line is.")
@click.option("--whole", is_flag=True, help="Read all of the input as one item, such as a stack trace in a file.")
def obfuscate(kind: str, *, whole: bool) -> None:
    r"""Read one item a line from standard input and print what would be kept of it, one result a line.

    Metadata is JSON, and the application's declarations (CALOS_DECLARATIONS) hold; a stack trace is one line with \n between its own lines, and is printed the same way.  A user id
    is hashed with the secret of the install in CALOS_HOME.

    Example: echo 'mail bob@acme.example failed' | calos-telemetry obfuscate --kind message
    """
    obfuscated = user_hash() if kind == "user" else KINDS[kind]
    if whole and kind == "stack":
        obfuscated = obfuscate_stack
    for item in _whole() if whole else lines():
        click.echo(obfuscated(item))


def user_hash() -> Callable[[str], str]:
    """Return what hashes a user as this install does.  Raises :class:`StateError`."""
    secret = load_secret(Settings.from_environment().home / "secret")
    return lambda line: obfuscate_user_id(line, secret) or ""
