"""The operator's page in words: what is only there when it is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from calos_telemetry import Settings, Telemetry
from calos_telemetry.contract.declarations import Declaration, Declarations, Kind
from calos_telemetry.sdk.viewer.overview import overview


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty directory of an install."""
    return tmp_path / "home"


def page_of(home: Path, declarations: Declarations | None = None, file: Path | None = None) -> str:
    """Return the page of an application with these declarations."""
    telemetry = Telemetry(Settings(home=home, declarations=file), declarations=declarations)
    try:
        return overview(telemetry, "/api/telemetry")
    finally:
        telemetry.close()


def test_what_the_application_adds_is_shown(home: Path) -> None:
    """A declared function stands there with its purpose, a declared key with its values; without any there is no section."""
    shape = Declaration(name="table_shape", kind=Kind.CHOICE, purpose="draws plans", values=frozenset({"oval", "<b>"}))
    page = page_of(home, Declarations().with_features({"till": "a sale"}).with_metadata(shape))

    for text in ("added to the list", "till", "a sale", "table_shape", "&lt;b&gt;, oval", "draws plans"):
        assert text in page
    assert "added to the list" not in page_of(home)


def test_a_file_of_declarations_that_cannot_be_used_is_shown(home: Path, tmp_path: Path) -> None:
    """The operator reads which file is wrong and what to write instead; the application runs on without it."""
    file = tmp_path / "declared.toml"
    file.write_text("[feature]\na = 'b'")

    assert "unknown table [feature]. Write [features]" in page_of(home, file=file)


def test_the_policy_is_explained_on_the_page(home: Path) -> None:
    """What is collected and sent, when, to whom, and what the operator's file takes away stand there in words."""
    home.mkdir()
    (home / "policy.toml").write_text('review_hours = 12\n[drop]\nfeatures = ["<okapi>"]\n')
    page = page_of(home)
    for text in ("features: &lt;okapi&gt;", "a report waits 12 hours to be read", "To whom", "license.calos.sh"):
        assert text in page


def test_a_broken_policy_file_is_shown(home: Path) -> None:
    """The operator reads what to correct, and that as little as possible is kept until then."""
    home.mkdir()
    (home / "policy.toml").write_text("[drop]\nfeture = []")
    page = page_of(home)
    assert "did you mean" in page
    assert "as little is kept and sent as the community tier allows" in page
