"""``calos-telemetry dictionary``: everything that can be stored or sent, from the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

import click

from calos_telemetry.cli.printing import as_json
from calos_telemetry.contract.catalogue import Entry, catalogue


@click.command()
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
def dictionary(form: str) -> None:
    """Print the closed list of everything that can be stored or sent: what it is, why, how long it is kept.

    Example: calos-telemetry dictionary --format markdown
    """
    forms: dict[str, Callable[[Iterable[Entry]], str]] = {"text": _text, "markdown": _markdown, "json": as_json}
    click.echo(forms[form](catalogue()))


def _text(entries: Iterable[Entry]) -> str:
    return "\n".join(
        f"{entry.group}.{entry.name} ({entry.type}, {entry.sensitivity}): {entry.what}; {entry.why}. "
        f"{_where(entry)}, kept {entry.kept}{'' if entry.required else ', may be switched off'}."
        for entry in entries
    )


def _markdown(entries: Iterable[Entry]) -> str:
    lines = ["# What can be stored or sent", "", "Generated from the types by `make docs`; nothing else can be."]
    for group, members in groupby(entries, key=lambda entry: entry.group):
        lines += ["", f"## {group}", "", "| name | what | why | type | sensitivity | where | kept |"]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [
            f"| `{entry.name}` | {entry.what} | {entry.why} | {entry.type} | {entry.sensitivity}"
            f"{'' if entry.required else ', optional'} | {_where(entry)} | {entry.kept} |"
            for entry in members
        ]
    return "\n".join(lines)


def _where(entry: Entry) -> str:
    return "leaves the install" if entry.leaves else "stays in the install"
