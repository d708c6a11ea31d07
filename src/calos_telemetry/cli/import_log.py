"""``calos-telemetry import-log``: an access log of nginx or Apache into the operator's database."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json
from calos_telemetry.clock import now_ms
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.record.access_log import open_log, progress
from calos_telemetry.sdk.record.log_import import Imported, last_moment
from calos_telemetry.settings import Settings

_STDIN = "-"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


@click.command()
@click.argument("file")
@click.option("--public-host", required=True, help="The host name that visitors used: development hosts are refused.")
@click.option("--until", type=click.Choice(["now"]), help="Move the whole log so that its last line is now.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def import_log(file: str, public_host: str, until: str | None, in_json: bool) -> None:
    """Import the access log FILE (combined or common format, plain or gzip; - for standard input).

    Each line becomes an obfuscated api_request with its own time.  Importing the same file again adds nothing.

    Example: calos-telemetry import-log /var/log/nginx/access.log --public-host shop.example.com
    """
    if _HOST.fullmatch(public_host) is None:
        raise SettingsError(f"--public-host is {public_host!r}: give a host name such as shop.example.com")
    shift_ms = now_ms() - _last_moment(file) if until else 0
    settings = dataclasses.replace(Settings.from_environment(), public_host=public_host)
    with opened_install(settings) as install:
        decision = install.policy.store()
        if not decision.allowed:
            raise SettingsError(f"nothing is imported for {public_host}: {decision.reason}")
        done = _run(install, file, shift_ms)
    click.echo(as_json({**dataclasses.asdict(done), "known": done.known}) if in_json else _sentences(done))


def _run(install: Install, file: str, shift_ms: int) -> Imported:
    stream = open_log(file)
    size = 1 if file == _STDIN else max(Path(file).stat().st_size, 1)
    with stream, click.progressbar(length=size, label="Importing", file=sys.stderr) as bar:

        def move() -> None:
            bar.update(progress(stream) - bar.pos)

        return install.log_import(shift_ms=shift_ms).run(stream, move)


def _last_moment(file: str) -> int:
    if file == _STDIN:
        raise SettingsError("--until now reads the log twice: give a file instead of standard input")
    with open_log(file) as stream:
        return last_moment(stream)


def _sentences(done: Imported) -> str:
    lines = [f"{done.lines} lines: {done.new} new, {done.known} imported before, {done.malformed} left out"]
    lines += [f"  line {line.number} is left out: {line.why}" for line in done.first_malformed]
    if done.malformed > len(done.first_malformed):
        lines.append(f"  and {done.malformed - len(done.first_malformed)} more")
    if done.known:
        lines.append("  what was imported before keeps the times that it was given then")
    return "\n".join(lines)
