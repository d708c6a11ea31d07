"""``calos-telemetry dictionary``: the same list in every form, with the application's own part, and its check."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from calos_telemetry.cli.dictionary import as_markdown, dictionary
from calos_telemetry.contract.catalogue import catalogue
from calos_telemetry.contract.schema import json_schema
from calos_telemetry.errors import CalosTelemetryError

DOCUMENT = Path(__file__).parents[2] / "docs" / "dictionary.md"
OWN = """
[features]
pos_transaction = "a sale at the till"

[metadata.table_shape]
values = ["round", "square"]
purpose = "which floor plans are drawn"
expires = 2999-01-01
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the developer's machine into the tests."""
    for name in [name for name in os.environ if name.startswith("CALOS_")]:
        monkeypatch.delenv(name)


def printed(*arguments: str, code: int = 0) -> str:
    """Return what the command prints; its exit code must be ``code``."""
    done = CliRunner().invoke(dictionary, arguments)
    assert done.exit_code == code, done.output
    return done.output


def declare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Write a file of declarations and name it in the environment."""
    file = tmp_path / "declarations.toml"
    file.write_text(text)
    monkeypatch.setenv("CALOS_DECLARATIONS", str(file))


def test_the_document_is_up_to_date() -> None:
    """docs/dictionary.md says what the types say; `make docs` writes it."""
    assert DOCUMENT.read_text(encoding="utf-8").strip() == as_markdown(catalogue())


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_every_form_names_every_entry(form: str) -> None:
    """Text, Markdown and JSON carry the same list."""
    told = printed("--format", form)
    for entry in catalogue():
        assert entry.name in told
        assert entry.group in told


def test_json_is_json() -> None:
    """The JSON form can be read by a program, entry by entry."""
    assert len(json.loads(printed("--format", "json"))) == len(catalogue())


def test_json_schema() -> None:
    """The schema printed is the schema served."""
    assert json.loads(printed("--format", "json-schema")) == json.loads(json.dumps(json_schema()))


def test_the_applications_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the file declares is listed with its purpose and its last day."""
    declare(monkeypatch, tmp_path, OWN)
    told = printed("--format", "markdown")
    assert "| `pos_transaction` | a feature that the application declares | a sale at the till |" in told
    assert "| `table_shape` | one of round, square | which floor plans are drawn |" in told
    assert "recorded until 2999-01-01" in told
    assert "no findings" in printed("--check")


def test_check_objects_to_the_applications_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An expired key, a near-duplicate and a missing purpose fail the check, each in a line of its own."""
    text = OWN.replace("2999", "2001") + '\n[metadata.table_shapes]\nvalues = ["oval"]\n'
    declare(monkeypatch, tmp_path, text)
    told = printed("--check", code=1)
    assert "metadata.table_shape: expired: " in told
    assert "metadata.table_shapes: purpose missing: " in told
    assert "metadata.table_shapes: near-duplicate names: table_shape exists" in told
    assert "the catalogue has 3 findings" in told


def test_a_file_that_cannot_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command names the file and the remedy, and shows no traceback."""
    declare(monkeypatch, tmp_path, "[feature]\n")
    done = CliRunner().invoke(dictionary)
    assert isinstance(done.exception, CalosTelemetryError | click.ClickException)
    assert "declarations.toml: unknown table [feature]" in str(done.exception)


def test_check_objects_to_names_that_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A feature that is recorded under another name than it is declared with is found, with the name to declare."""
    declare(monkeypatch, tmp_path, OWN.replace("pos_transaction", '"pos transaction"'))
    assert "pos transaction: name that is not kept: it is recorded as pos_transaction" in printed("--check", code=1)
