"""``calos-telemetry policy``: what is collected and sent, and what the operator's file takes away."""

from __future__ import annotations

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json


@click.group()
def policy() -> None:
    """Explain what is collected and sent, and why."""


@policy.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def explain(in_json: bool) -> None:
    """Say what is collected and sent, when, to whom and why, and what the policy file takes away.

    Example: calos-telemetry policy explain
    """
    with opened_install() as install:
        told = install.explain()
        file = str(install.policy.file.path)
    if in_json:
        click.echo(as_json({"file": file, "told": [one._asdict() for one in told]}))
        return
    for topic, text in told:
        click.echo(f"{topic:10} {text}")
    click.echo(f"{'file':10} {file}")
