"""The linter of the catalogue: each rule finds what it is for, and leaves the rest alone."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from calos_telemetry.contract.catalogue import Entry
from calos_telemetry.contract.catalogue_lint import lint
from calos_telemetry.contract.fields import Sensitivity

TODAY = date(2026, 11, 25)
GOOD = Entry(
    group="example", name="opened", type="integer", what="how often it was opened", why="shows what is used",
    sensitivity=Sensitivity.TECHNICAL, required=False, kept="90 days", leaves=True,
)  # fmt: skip


def rules(*entries: Entry) -> list[str]:
    """Return the rules that object."""
    return [finding.rule for finding in lint(entries, TODAY)]


def named(*names: str, **changes: Any) -> list[Entry]:
    """Return good entries with these names."""
    return [replace(GOOD, name=name, **changes) for name in names]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"why": ""}, "purpose missing"),
        ({"why": "x"}, "purpose missing"),
        ({"why": "declared by the application"}, "purpose missing"),
        ({"why": GOOD.what}, "purpose missing"),
        ({"what": " "}, "description missing"),
        ({"sensitivity": None}, "sensitivity missing"),
        ({"name": "user_name", "type": "text"}, "sensitivity missing"),
        ({"name": "opened_ms"}, "unit in the name"),
        ({"name": "opened_ms", "what": "the time in µs"}, "unit in the name"),
        ({"name": "opened_bytes", "type": "text", "what": "how many bytes"}, "unit in the name"),
        ({"expires": date(2026, 11, 25)}, "expired"),
        ({"expires": date(2027, 1, 1), "required": True}, "expired"),
    ],
)
def test_one_defect_is_one_finding(changes: dict[str, Any], rule: str) -> None:
    """A good entry with one defect gets one objection, which names the rule."""
    assert rules(replace(GOOD, **changes)) == [rule]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"expires": date(2026, 11, 26)},
        {"name": "opened_ms", "what": "the time in ms"},
        {"name": "duration_us", "what": "elapsed time in µs; zero where unknown"},
        {"name": "user_name", "type": "text", "sensitivity": Sensitivity.PSEUDONYMOUS},
    ],
)
def test_good_entries_pass(changes: dict[str, Any]) -> None:
    """A unit that is described as the same unit, a day to come, a personal field that says so: nothing to object to."""
    assert rules(replace(GOOD, **changes)) == []


@pytest.mark.parametrize(
    "names", [("error_count", "errors_count"), ("table_shape", "shape_table"), ("transaction", "transacton")]
)
def test_near_duplicates(names: tuple[str, str]) -> None:
    """The same words in another number or order, and a slip of one letter in a long word, are found."""
    assert rules(*named(*names)) == ["near-duplicate names"]


@pytest.mark.parametrize("names", [("stage", "state"), ("first_seen", "last_seen"), ("same", "same")])
def test_names_that_only_look_alike(names: tuple[str, str]) -> None:
    """Short words a letter apart mean different things, and an entry is no duplicate of itself."""
    assert rules(*named(*names)) == []


def test_groups_have_names_of_their_own() -> None:
    """The same word may be used in two tables."""
    assert rules(GOOD, *named("openeds", group="other")) == []


def test_built_in_synonyms_are_meant() -> None:
    """The usual metadata keys list plurals on purpose; an application's own key beside one of them is still found."""
    builtin = named("status_code", "page", "pages", group="metadata")
    assert rules(*builtin) == []
    assert rules(*builtin, *named("status_codes", group="metadata")) == ["near-duplicate names"]
