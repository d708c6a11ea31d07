"""``calos-telemetry status``: is anything collected, why, and what became of it."""

from __future__ import annotations

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json
from calos_telemetry.clock import date_of
from calos_telemetry.sdk.report.difference import Difference
from calos_telemetry.sdk.report.erasures import Erasure

_NEW = "nothing has been recorded here yet: if the application runs, CALOS_HOME is not the one that it uses"


def _erasure(asked: Erasure | None) -> str | None:
    if asked is None:
        return None
    if asked.receipt is None:
        return f"asked for on {date_of(asked.requested_at)}, without an answer yet: nothing is sent; `erase` asks again"
    return f"asked for on {date_of(asked.requested_at)}, and done: nothing is sent any more"


def _new(difference: Difference) -> str | None:
    number = len(difference.new)
    return f"this version can send {number} more fields: `report difference` names them" if number else None


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def status(in_json: bool) -> None:
    """Say what is collected, why, and whether the books balance.

    Example: CALOS_HOME=/var/lib/shop calos-telemetry status
    """
    with opened_install() as install:
        license_state = install.license_state()
        books, processes = install.books(), install.waiting()
        content = {
            "install": install.identity.install_id,
            "home": str(install.settings.home),
            "collect": install.policy.store().reason,
            "note": install.policy.note,
            "policy": install.policy.file.note,
            "new": _new(install.difference()),
            "hint": None if books.recorded or not install.policy.store().allowed else _NEW,
            "tier": license_state.tier,
            "license": license_state.reason,
            "warning": license_state.warning,
            "database": install.database_problem(),
            "erasure": _erasure(install.erasures.asked()),
            "cleanup": install.upkeep.alarm(),
        }
    if in_json:
        click.echo(as_json({**content, "books": books, "processes": processes}))
        return
    for name, value in content.items():
        if value is not None:
            click.echo(f"{name:8} {value}")
    dropped = sum(books.dropped.values())
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(books.dropped.items()))
    click.echo(
        f"books    {books.recorded} recorded = {books.stored} stored + {dropped} dropped"
        f"{f' ({reasons})' if reasons else ''} + {books.pending} pending"
    )
    for process in processes:
        state = "" if process.alive else ", which has ended"
        click.echo(f"process  {process.pid}{state}: {process.events} of its events are pending")
