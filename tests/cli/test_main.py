"""The command line as a whole: help, examples, versions, and what is said when something is wrong."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from calos_telemetry import __version__
from calos_telemetry.cli.main import COMMANDS, main

from .conftest import COMMAND, Operator


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group that does something itself."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(commands(main))


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    """`--help` says what the command does, and shows a call of this very command."""
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0
    assert re.search(rf"Example: .*calos-telemetry\s+{re.escape(' '.join(path))}\b", " ".join(done.output.split()))


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    """No option of ours comes without an explanation."""
    options = [parameter for parameter in ALL[path].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_table_of_commands_is_what_help_lists() -> None:
    """`--help` lists each command with its line, and loads none of them."""
    listed = CliRunner().invoke(main, ["--help"]).output
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
        assert command.help.split()[0] in listed


def test_the_version_is_the_packages() -> None:
    """`--version` prints the version of the package."""
    assert CliRunner().invoke(main, ["--version"]).output.strip().endswith(__version__)


@pytest.mark.parametrize(
    "arguments", [["flsh"], ["summary", "--hours", "soon"], ["status", "extra"], ["report"], ["report", "show", "x"]]
)
def test_a_call_that_makes_no_sense_is_exit_code_2(operator: Operator, arguments: list[str]) -> None:
    """An unknown command, a word in the place of a number and a missing part are refused with the usage."""
    assert "Usage: " in operator.run(*arguments, code=2)


@pytest.mark.parametrize(
    "arguments", [["status"], ["summary"], ["flush"], ["verify"], ["report", "list"], ["report", "check"]]
)
def test_a_home_that_cannot_be_used_is_one_sentence(operator: Operator, arguments: list[str]) -> None:
    """CALOS_HOME that is a file is named, with what to give instead."""
    operator.home.touch()
    assert str(operator.home) in operator.complaint(*arguments)
    assert "give a directory" in operator.complaint(*arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [("CALOS_DRAIN_SECONDS", "soon"), ("TELEMETRY_DISABLED", "no way"), ("CALOS_LICENSE_SERVER", "x")],
)
def test_a_bad_setting_is_one_sentence(operator: Operator, name: str, value: str) -> None:
    """An environment variable that cannot be used is named, with what to give."""
    assert name in operator.complaint("status", **{name: value})


@pytest.mark.parametrize("spoil", ["install_id", "install.key"])
def test_a_damaged_file_is_one_sentence(operator: Operator, spoil: str) -> None:
    """A damaged number or key of the install is named, with the remedy; a damaged database is set aside."""
    operator.run("status")
    (operator.home / spoil).write_bytes(b"damaged " * 100)
    sentence = operator.complaint("status")
    assert spoil in sentence
    assert "restore" in sentence


def test_a_reader_that_goes_away_is_no_error(operator: Operator) -> None:
    """`calos-telemetry dictionary | head -1` ends quietly."""
    pipe = f"{COMMAND} dictionary | head -1"
    done = subprocess.run(["sh", "-c", pipe], env=operator.env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
