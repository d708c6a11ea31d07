"""``calos-telemetry verify``: verify the license now, send what is new, keep the receipt."""

from __future__ import annotations

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json
from calos_telemetry.errors import LicenseError, TransportError


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def verify(in_json: bool) -> None:
    """Verify the license now and send what is new; exit code 1 when the server could not be asked or the license key proves nothing.

    Example: calos-telemetry verify
    """
    with opened_install() as install:
        outcome = install.verify()
        problem = install.license_problem
    click.echo(as_json(outcome) if in_json else outcome.sentence)
    if problem is not None:
        raise LicenseError(f"verified as community only, because {problem}")
    if not outcome.ok:
        raise TransportError("the exchange did not succeed: nothing is lost")
