"""``calos-telemetry keys``: the vendor's keys, and how they are renewed."""

from __future__ import annotations

from pathlib import Path

import click

from calos_telemetry.clock import date_of, now_ms
from calos_telemetry.contract.keys import open_keyring
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.server import rotation
from calos_telemetry.server.keys import VendorKeys, load
from calos_telemetry.settings import ServerSettings


@click.group()
def keys() -> None:
    """Show and rotate the vendor's keys (vendor).  They live under CALOS_SERVER_HOME."""


@keys.command()
def show() -> None:
    """Print the root that installs pin, and the online keys with their time.

    Example: calos-telemetry keys show
    """
    held = load(ServerSettings.from_environment().home)
    _pinned(held)
    now = now_ms()
    for key in open_keyring(held.keyring, held.root).keys:
        state = "ended" if key.not_after < now else "holds"
        click.echo(f"{key.kid}  {key.use.value:8}{state} {date_of(key.not_before)} to {date_of(key.not_after)}")


@keys.command()
@click.option("--root", type=click.Path(path_type=Path), help="The file of the present root, brought for this.")
@click.option("--new-root", is_flag=True, help="Let a new root take the place of the present one.")
def rotate(root: Path | None, new_root: bool) -> None:
    """Make new online keys beside the old ones, which end when they were to end; every 60 days is a good time.

    Example: calos-telemetry keys rotate --root /media/safe/root.pem
    """
    home = ServerSettings.from_environment().home
    held = rotation.rotate(home, now_ms(), root=root, new_root=new_root)
    click.echo(f"The online keys hold until {date_of(held.valid_until)}; running servers take them by themselves.")
    if new_root:
        made = rotation.root_file(home, len(held.root_kids))
        click.echo(f"Move {made} to a safe place offline; keep the root before it until no install pins it.")
    _pinned(held)


def _pinned(held: VendorKeys) -> None:
    click.echo(
        f"New installs pin this key; those that pin one of the {len(held.root_kids) - 1} before it need nothing:"
    )
    click.echo(f"CALOS_VENDOR_KEY={encode_public(held.root)}")
