"""``calos-telemetry license``: issue, list, show and revoke license keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Connection

from calos_telemetry import private_files
from calos_telemetry.clock import date_of, now_ms
from calos_telemetry.contract.license import read_unchecked, with_keyring
from calos_telemetry.contract.tiers import LICENSED_TIERS, Tier
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Issued, Order
from calos_telemetry.server.store import open_licenses
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.database import writing


@click.group(name="license")
def license_() -> None:
    """Issue, list, show and revoke license keys (vendor).  The books live under CALOS_SERVER_HOME."""


@license_.command()
@click.option(
    "--tier", required=True, type=click.Choice([tier.value for tier in LICENSED_TIERS]), help="What it allows."
)
@click.option("--licensee", required=True, help="Who buys it; stays with the vendor, the key does not name it.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it holds.")
@click.option("--never-expires", is_flag=True, help="It holds for ever; wins over --days.")
@click.option("--domain", "domains", multiple=True, help="A host name it is for; may be repeated.")
@click.option("--feature", "features", multiple=True, help="A feature beyond the tier's own; may be repeated.")
@click.option("--air-gapped", is_flag=True, help="It may be used without ever verifying online.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the key to a file (0600).")
def issue(
    *,
    tier: str,
    licensee: str,
    days: int,
    never_expires: bool,
    domains: tuple[str, ...],
    features: tuple[str, ...],
    air_gapped: bool,
    output: Path | None,
) -> None:
    """Issue a license key: on stdout, or into --output.

    Example: calos-telemetry license issue --tier pro --licensee "Example Ltd" --domain shop.example.com
    """
    order = Order(
        tier=Tier(tier),
        licensee=licensee,
        days=None if never_expires else days,
        domains=tuple(domain.lower() for domain in domains),
        features=features,
        air_gapped=air_gapped,
    )
    held = keys.load(ServerSettings.from_environment().home)
    with _books() as connection:
        issued = licenses.issue(connection, held, order, now_ms())
    if output is None:
        click.echo(issued.key, nl=False)
    else:
        private_files.write(output, issued.key.encode())
    click.echo(f"License {issued.id} ({issued.tier}, {_until(issued)}) for {issued.licensee}", err=True)


@license_.command(name="list")
def list_() -> None:
    """List every license, the newest first.

    Example: calos-telemetry license list
    """
    with _books() as connection:
        found = licenses.list_all(connection)
    if not found:
        click.echo("No license has been issued yet: calos-telemetry license issue --help")
    for one in found:
        click.echo(f"{one.id}  {one.state(now_ms()):8}  {one.tier:10}  {_until(one):18}  {one.licensee}")


@license_.command()
@click.argument("license_id")
def show(license_id: str) -> None:
    """Show a license and its key, with today's keyring; the first digits of its id are enough.

    Example: calos-telemetry license show 3f9a
    """
    with _books() as connection:
        one = licenses.find(connection, license_id)
    document = read_unchecked(one.key)
    click.echo(
        f"license    {one.id}\nstate      {one.state(now_ms())}\ntier       {one.tier}\nlicensee   {one.licensee}"
    )
    click.echo(f"issued     {date_of(one.issued_at)}\nholds      {_until(one)}")
    click.echo(f"domains    {', '.join(document.domains) or 'any'}\nfeatures   {', '.join(sorted(document.brings()))}")
    click.echo(f"air-gapped {'yes' if document.air_gapped else 'no'}")
    if one.revoked_at is not None:
        click.echo(f"revoked    {date_of(one.revoked_at)}: {one.revoked_why}")
    click.echo(with_keyring(one.key, keys.load(ServerSettings.from_environment().home).keyring), nl=False)


@license_.command()
@click.argument("license_id")
@click.option("--why", required=True, help="The reason, which the operator will read.")
def revoke(license_id: str, why: str) -> None:
    """Revoke a license: its installs learn it at their next verification.

    Example: calos-telemetry license revoke 3f9a --why "the contract ended"
    """
    with _books() as connection:
        one = licenses.revoke(connection, license_id, why, now_ms())
    click.echo(f"License {one.id} of {one.licensee} is revoked: {one.revoked_why}")


@contextmanager
def _books() -> Iterator[Connection]:
    settings = ServerSettings.from_environment()
    keys.load(settings.home)  # says that `server init` is missing before an empty database appears
    engine = open_licenses(settings)
    try:
        with writing(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _until(one: Issued) -> str:
    return "for ever" if one.expires_at is None else f"until {date_of(one.expires_at)}"
