"""``calos-telemetry dictionary``: everything that can be stored or sent, from the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import click

from calos_telemetry.cli.printing import as_json
from calos_telemetry.clock import now_ms, to_datetime
from calos_telemetry.contract import schema
from calos_telemetry.contract.catalogue import Entry, catalogue
from calos_telemetry.contract.catalogue_lint import Finding, lint, undeclared
from calos_telemetry.contract.declarations import Declarations
from calos_telemetry.sdk.declared import read_declarations
from calos_telemetry.sdk.obfuscate.names import feature_name
from calos_telemetry.settings import Settings
from calos_telemetry.store.install_tables import install
from calos_telemetry.store.tables import telemetry


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "json-schema"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
@click.option("--check", is_flag=True, help="Say what a reviewer would object to; exit code 1 if there is anything.")
def dictionary(form: str, check: bool) -> None:
    """Print the closed list of everything that can be stored or sent: what it is, why, how long it is kept.

    The application's own declarations (CALOS_DECLARATIONS) are part of it.

    Example: calos-telemetry dictionary --format markdown
    """
    declarations = read_declarations(Settings.from_environment().declarations)
    if check:
        _check(declarations)
    elif form == "json-schema":
        click.echo(schema.as_text())
    else:
        forms: dict[str, Callable[[Iterable[Entry]], str]] = {"text": as_text, "markdown": as_markdown, "json": as_json}
        click.echo(forms[form](catalogue(declarations)))


def _check(declarations: Declarations | None) -> None:
    """Hold the catalogue, the tables and the application's declarations to the linter's rules."""
    tables = (*telemetry.sorted_tables, *install.sorted_tables)
    found = lint(catalogue(declarations), to_datetime(now_ms()).date())
    found += undeclared({table.name: table.columns.keys() for table in tables}, ())
    found += _renamed(declarations)
    for finding in found:
        click.echo(f"{finding.entry}: {finding.rule}: {finding.advice}")
    if found:
        raise click.ClickException(f"the catalogue has {len(found)} findings")
    click.echo(f"{len(catalogue(declarations))} entries, no findings")


def _renamed(declarations: Declarations | None) -> list[Finding]:
    """Return the declared features that no use would ever be counted under."""
    declared = {} if declarations is None else declarations.features
    kept = {name: feature_name(name) for name in declared}
    return [
        Finding("name that is not kept", name, f"it is recorded as {recorded}: declare it so")
        for name, recorded in kept.items()
        if recorded != name
    ]


def as_text(entries: Iterable[Entry]) -> str:
    """Return the entries as one sentence each."""
    return "\n".join(
        f"{entry.group}.{entry.name} ({entry.type}, {entry.sensitivity}): {entry.what}; {entry.why}. "
        f"{_where(entry).capitalize()}, kept {_kept(entry)}{'' if entry.required else ', may be switched off'}."
        for entry in entries
    )


def as_markdown(entries: Iterable[Entry]) -> str:
    """Return the entries as one table a group; names that mean the same share a line."""
    lines = ["# What can be stored or sent", "", "Generated from the types by `make docs`; nothing else can be."]
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    for group, members in groups.items():
        lines += ["", f"## {group}", "", "| name | what | why | type | sensitivity | where | kept |"]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [_line([*same]) for _, same in groupby(members, key=lambda entry: replace(entry, name=""))]
    return "\n".join(lines)


def _line(same: Sequence[Entry]) -> str:
    entry, names = same[0], ", ".join(f"`{entry.name}`" for entry in same)
    cells = (
        names,
        entry.what,
        entry.why,
        entry.type,
        f"{entry.sensitivity}{'' if entry.required else ', optional'}",
        _where(entry),
        _kept(entry),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _where(entry: Entry) -> str:
    return "leaves the install" if entry.leaves else "stays in the install"


def _kept(entry: Entry) -> str:
    return entry.kept if entry.expires is None else f"{entry.kept}, recorded until {entry.expires}"
