"""The command ``calos-telemetry``: a table of commands, each loaded when it is called.

An error of this package becomes one sentence on stderr and exit code 1; anything else is a bug and shows itself.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import click

from calos_telemetry.errors import CalosTelemetryError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives (``module:object``), what it does in one line, and the extra it needs."""

    target: str
    help: str
    extra: str | None = None


COMMANDS: dict[str, Command] = {
    "cleanup": Command("calos_telemetry.cli.cleanup:cleanup", "Delete what is older than 90 days, or than --days."),
    "dictionary": Command("calos_telemetry.cli.dictionary:dictionary", "Print what can be stored or sent."),
    "erase": Command("calos_telemetry.cli.erase:erase", "Ask the vendor to delete this install's telemetry."),
    "explain": Command("calos_telemetry.cli.explain:explain", "Say which rule changes what in a text, and why."),
    "export": Command("calos_telemetry.cli.courier:export", "Write what is due to a file for the vendor (air gap)."),
    "flush": Command("calos_telemetry.cli.flush:flush", "Move what is spooled into the database now."),
    "import": Command("calos_telemetry.cli.courier:import_", "Take the vendor's answer from a file (air gap)."),
    "import-log": Command("calos_telemetry.cli.import_log:import_log", "Import an access log of nginx or Apache."),
    "keys": Command("calos_telemetry.cli.keys:keys", "Show and rotate the vendor's keys (vendor)."),
    "license": Command("calos_telemetry.cli.license:license_", "Issue, list, show and revoke license keys (vendor)."),
    "obfuscate": Command("calos_telemetry.cli.obfuscate:obfuscate", "Print what would be kept of each line."),
    "policy": Command("calos_telemetry.cli.policy:policy", "Explain what is collected and sent, and why."),
    "query": Command("calos_telemetry.cli.query:query", "Ask a documented question: summary, features, errors, daily."),
    "report": Command("calos_telemetry.cli.report:report", "Show, save and check the reports of this install."),
    "server": Command("calos_telemetry.cli.server:server", "Set up and run the license server (vendor).", "server"),
    "status": Command("calos_telemetry.cli.status:status", "Say what is collected, why, and what became of it."),
    "summary": Command("calos_telemetry.cli.summary:summary", "Print what was collected in the last hours."),
    "verify": Command("calos_telemetry.cli.verify:verify", "Verify the license now and send what is new."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called, so that start-up is fast and extras stay optional."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands of the table."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called ``cmd_name``."""
        command = COMMANDS.get(cmd_name)
        return super().get_command(ctx, cmd_name) if command is None else _load(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, without importing one of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in sorted(COMMANDS)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and say its error in one sentence."""
        try:
            return super().invoke(ctx)
        except CalosTelemetryError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            raise  # click ends quietly when the reader has gone
        except OSError as error:
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror}: check the disk and the permissions") from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="calos-telemetry", message="%(prog)s %(version)s")
def main() -> None:
    """Telemetry that its operator can read and prove."""


def _load(command: Command) -> click.Command:
    module, _, name = command.target.partition(":")
    try:
        loaded = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        ours = (error.name or "").startswith("calos_telemetry")
        if ours or command.extra is None:
            raise
        raise click.ClickException(
            f"this command needs more packages ({error.name} is missing): pip install 'calos-telemetry[{command.extra}]'"
        ) from None
    if not isinstance(loaded, click.Command):
        raise TypeError(f"{command.target} is not a command")
    return loaded
