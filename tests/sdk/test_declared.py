"""The host application's declarations: in code and in a file, all the way into a stored event and the dictionary."""

import logging
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from calos_telemetry import Settings, Telemetry
from calos_telemetry.clock import set_source
from calos_telemetry.contract.declarations import Declaration, DeclarationError, Declarations, Kind
from calos_telemetry.sdk.declared import read_declarations
from calos_telemetry.sdk.obfuscate.metadata import DROPPED, obfuscate_metadata
from calos_telemetry.store.tables import events

HOST = "shop.example.com"
FILE = """
[features]
reservation = "a table is reserved"

[metadata.table_plan]
values = ["round", "square"]
purpose = "which floor plans are drawn"
"""
CODE = Declarations().with_metadata(
    Declaration(name="zone", kind=Kind.CHOICE, purpose="where guests sit", values=frozenset({"terrace", "hall"}))
)
Make = Callable[..., Telemetry]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make telemetry objects of a public install."""
    made = []

    def make(file: Path | None = None, declarations: Declarations | None = None) -> Telemetry:
        settings = Settings(
            home=tmp_path / "home", public_host=HOST, server="http://127.0.0.1:9", declarations=file
        )  # fmt: skip
        made.append(Telemetry(settings, declarations=declarations))
        return made[-1]

    yield make
    for telemetry in made:
        telemetry.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a good file."""
    path = tmp_path / "declarations.toml"
    path.write_text(FILE)
    return path


def kept(telemetry: Telemetry, metadata: dict[str, object]) -> dict[str, Any]:
    """Track a feature with this metadata and return what the database holds of it."""
    assert telemetry.track_feature(None, "reservation", metadata)
    telemetry.flush()
    with telemetry.install.engine.connect() as connection:
        data = connection.scalars(select(events.c.event_data)).one()
    stored: dict[str, Any] = msgspec.json.decode(data)["metadata"]
    return stored


def test_declared_in_a_file(make: Make, file: Path) -> None:
    """A declared value of a declared key is stored, any other value of it is not."""
    assert kept(make(file), {"table_plan": ["round", "Alice's corner"]}) == {"table_plan": ["round", "[REDACTED]"]}


def test_declared_in_code(make: Make) -> None:
    """The same holds for what the application declares in code."""
    assert kept(make(declarations=CODE), {"zone": "terrace", "zonk": "hall"}) == {"zone": "terrace"}


def test_file_and_code_are_joined(make: Make, file: Path) -> None:
    """Both count, and the built-in keys still work beside them."""
    found = kept(make(file, CODE), {"zone": "hall", "table_plan": "square", "status": "completed"})
    assert found == {"zone": "hall", "table_plan": "square", "status": "completed"}


def test_the_file_wins(tmp_path: Path) -> None:
    """Where code and file declare the same key, the operator's file holds."""
    path = tmp_path / "own.toml"
    path.write_text('[metadata.zone]\nvalues = ["roof"]\npurpose = "where guests sit"\n')
    joined = read_declarations(path, CODE)
    assert joined is not None
    assert obfuscate_metadata({"zone": "roof"}, joined) == {"zone": "roof"}
    assert obfuscate_metadata({"zone": "hall"}, joined) == {"zone": "[REDACTED]"}
    assert set(joined.own().metadata) == {"zone"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"features = ", "this is not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[metadata.x]\nkind = 'choice'", "a choice without values"),
        (b"[metadata.x]\nexpires = 'soon'", "expires"),
        (b"#" * ((1 << 20) + 1), "more than 1 MiB"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_costs_itself_only(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None, sentence: str
) -> None:
    """One sentence names the file and the fault; telemetry goes on with what is declared otherwise."""
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        telemetry = make(path, CODE)
    (said,) = [record.getMessage() for record in caplog.records if "declarations" in record.getMessage()]
    assert sentence in said
    assert "bad.toml" in said
    assert str(telemetry.declarations_problem) in said
    assert telemetry.problem is None
    assert kept(telemetry, {"zone": "hall", "status": "completed"}) == {"zone": "hall", "status": "completed"}


def test_nothing_declared_is_nothing() -> None:
    """Without file and code there is nothing to add to the built-in keys."""
    assert read_declarations(None) is None


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """A path that cannot be read is said as such, whatever it is."""
    with pytest.raises(DeclarationError, match=r"cannot be read .*CALOS_DECLARATIONS"):
        read_declarations(tmp_path)


@pytest.mark.parametrize(("today", "expected"), [("2026-12-31", {"beta_ui": True}), ("2027-01-01", {})])
def test_an_expired_key_is_recorded_no_more(today: str, expected: dict[str, object]) -> None:
    """From its day on an installed application keeps nothing of the key, though a bare flag would pass undeclared."""
    own = Declarations.from_toml('[metadata.beta_ui]\npurpose = "who tries the new pages"\nexpires = 2027-01-01')
    midnight = (date.fromisoformat(today) - date(1970, 1, 1)).days * 86_400 * 10**9
    set_source(lambda: midnight)
    before = DROPPED["expired"]
    try:
        assert obfuscate_metadata({"beta_ui": True}, own) == expected
        assert DROPPED["expired"] - before == (0 if expected else 1)
    finally:
        set_source(None)
