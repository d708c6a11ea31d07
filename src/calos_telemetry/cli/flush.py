"""``calos-telemetry flush``: move what is spooled into the database now."""

from __future__ import annotations

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json
from calos_telemetry.errors import StateError

_PATIENCE = 30.0


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def flush(in_json: bool) -> None:
    """Move what all processes have spooled into the database now, beside a running application.

    Example: calos-telemetry flush
    """
    with opened_install() as install:
        drained = install.drain(patience=_PATIENCE)
    if in_json:
        click.echo(as_json({"success": drained.elected, "events": drained.events}))
    elif drained.elected:
        click.echo(f"{drained.events} events moved into the database")
    if not drained.elected:
        raise StateError("another process has been moving them for half a minute: nothing is lost, try again later")
