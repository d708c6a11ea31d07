"""``calos-telemetry export`` and ``import``: the exchange with the vendor by files, across an air gap."""

from __future__ import annotations

from pathlib import Path

import click

from calos_telemetry import private_files
from calos_telemetry.cli.opening import opened_install
from calos_telemetry.contract.courier import MAX_FILE, read_answer, write_courier
from calos_telemetry.errors import SettingsError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
def export(file: Path) -> None:
    """Write the license request, and the report where telemetry is on, to FILE for the vendor.

    Example: calos-telemetry export request.json
    """
    with opened_install() as install:
        written, entry = install.export()
    private_files.write(file, write_courier(written))
    what = (
        f"report {entry.number} with {entry.rows} rows, and the license request"
        if entry.rows
        else "the license request"
    )
    click.echo(f"{file} holds {what}: bring it to the vendor, and the answer back with `calos-telemetry import`")
    click.echo(f"`calos-telemetry report show {entry.number}` prints what it says")


@click.command(name="import")
@click.argument("file", type=_FILE)
def import_(file: Path) -> None:
    """Take the vendor's answer from FILE: lease and receipts.  A repeat changes nothing.

    Example: calos-telemetry import answer.json
    """
    answer = read_answer(read_carried(file))
    with opened_install() as install:
        click.echo(install.courier.take(answer))


def read_carried(file: Path) -> bytes:
    """Return the content of a file that somebody brought.  Raises :class:`SettingsError`."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}): give the file that was brought") from None
    if len(content) > MAX_FILE:
        raise SettingsError(f"{file} has more than {MAX_FILE} bytes: it is not a file of `export` or `server answer`")
    return content
