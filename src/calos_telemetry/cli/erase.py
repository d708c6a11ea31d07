"""``calos-telemetry erase``: ask the vendor, signed, to delete the telemetry of this install."""

from __future__ import annotations

from pathlib import Path

import click

from calos_telemetry import private_files
from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.report import write_evidence
from calos_telemetry.contract.courier import write_courier


@click.command()
@click.option(
    "--export", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the request to a file instead."
)
@click.option(
    "--to", "directory", type=click.Path(path_type=Path, file_okay=False), help="Write receipt and key there, too."
)
@click.confirmation_option(
    prompt="From now on nothing of this install is sent, and the vendor deletes what it has. This cannot be undone. Go on?"
)
def erase(file: Path | None, directory: Path | None) -> None:
    """Ask the vendor to delete all telemetry of this install, and keep the signed receipt.

    The license goes on as before.  Whoever wants to send telemetry again begins as a new install.

    Example: calos-telemetry erase --yes
    """
    with opened_install() as install:
        if file is None:
            receipt = install.erasing.ask()
            if directory is not None:
                write_evidence(directory, "request.json.gz", *install.erasing.evidence())
            click.echo("the vendor has erased the telemetry of this install; its receipt:")
            click.echo(receipt.text, nl=False)
            return
        written = install.erasing.export()
    private_files.write(file, write_courier(written))
    click.echo(f"{file} holds the request: bring it to the vendor, and the answer back with `calos-telemetry import`")
