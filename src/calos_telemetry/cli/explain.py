"""``calos-telemetry explain``: which rule changed what in a message, and why."""

from __future__ import annotations

import sys

import click

from calos_telemetry.sdk.obfuscate.messages import explain_message, obfuscate_message


@click.command()
@click.argument("message", required=False)
def explain(message: str | None) -> None:
    """Say which rule changes what in MESSAGE (or in each line of standard input), and why.

    Example: calos-telemetry explain 'login failed for bob@acme.example from 10.0.0.7'
    """
    texts = [message] if message is not None else (line.rstrip("\n") for line in sys.stdin)
    for text in texts:
        click.echo(obfuscate_message(text))
        for change in explain_message(text):
            click.echo(f"  {change.start}-{change.end} {change.placeholder} by rule {change.rule}: {change.why}")
