"""``calos-telemetry status``: is anything collected, why, and what became of it."""

from __future__ import annotations

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json

_NEW = "nothing has been recorded here yet: if the application runs, CALOS_HOME is not the one that it uses"


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def status(in_json: bool) -> None:
    """Say what is collected, why, and whether the books balance.

    Example: CALOS_HOME=/var/lib/shop calos-telemetry status
    """
    with opened_install() as install:
        license_state = install.license_state()
        books = install.books()
        content = {
            "install": install.identity.install_id,
            "home": str(install.settings.home),
            "collect": install.policy.store().reason,
            "note": install.policy.note,
            "hint": None if books.recorded else _NEW,
            "tier": license_state.tier,
            "license": license_state.reason,
            "warning": license_state.warning,
            "database": install.database_problem(),
            "cleanup": install.upkeep.alarm(),
        }
    if in_json:
        click.echo(as_json({**content, "books": books}))
        return
    for name, value in content.items():
        if value is not None:
            click.echo(f"{name:8} {value}")
    dropped = sum(books.dropped.values())
    click.echo(
        f"books    {books.recorded} recorded = {books.stored} stored + {dropped} dropped + {books.pending} pending"
    )
