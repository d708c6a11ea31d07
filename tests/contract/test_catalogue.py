"""The catalogue: everything that can be stored or sent is in it, and it says what a reader asks."""

import re
from datetime import date
from typing import Annotated

import msgspec
import pytest

from calos_telemetry.contract import catalogue as module
from calos_telemetry.contract.catalogue import catalogue
from calos_telemetry.contract.catalogue_lint import lint, undeclared
from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.declarations import Declaration, Declarations, Kind
from calos_telemetry.contract.events import EVENT_TYPES, ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.contract.fields import Sensitivity
from calos_telemetry.sdk.rollup.aggregates import counted
from calos_telemetry.sdk.rollup.batch import Batch, Stored
from calos_telemetry.store.install_tables import install
from calos_telemetry.store.tables import telemetry

TODAY = date(2026, 11, 25)
HASH = "0123456789abcdef"


def test_our_own_catalogue_has_no_findings() -> None:
    """Nothing that we store or send lacks a purpose, a sensitivity or a name of its own."""
    assert lint(catalogue(), TODAY) == []


def test_every_column_of_every_table_is_declared() -> None:
    """A column that somebody adds to a table of the install without declaring it fails here."""
    tables = (*telemetry.sorted_tables, *install.sorted_tables)
    assert undeclared({table.name: table.columns.keys() for table in tables}, ()) == []


def test_every_declared_column_exists() -> None:
    """The catalogue describes no column that is not there any more."""
    tables = {table.name: set(table.columns.keys()) for table in (*telemetry.sorted_tables, *install.sorted_tables)}
    vendors_words = {"telemetry_performance": {"day"}}  # a report's rows are days, the table's are hours
    for table, columns in tables.items():
        assert module.columns_of(table) - vendors_words.get(table, set()) <= columns


def test_every_counter_in_use_is_declared() -> None:
    """What the rollup counts of an event with every field set is in the list of counters."""
    everything: list[Event] = [
        ApiRequest(
            method="GET", path="/x", status=500, duration_us=1, request_bytes=1, response_bytes=1, feature="f",
            user=HASH, session=HASH, country="DE", browser="Firefox", os="Linux", error="api",
        ),
        FeatureUsage(feature="f", metadata={"flag": True, "status": "done"}, user=HASH, session=HASH),
        ErrorEvent(category="api", name="E", message="m", stack="s", path="/x", user=HASH, session=HASH),
    ]  # fmt: skip
    batch = Batch("0" * 32, 1, [Stored(f"{number:032x}", 1, event) for number, event in enumerate(everything)])
    used = {counter for _, counter, _, _ in counted(batch)}
    assert undeclared({}, used) == []
    assert used <= COUNTER_NAMES


def test_an_undeclared_column_or_counter_is_found() -> None:
    """The comparison objects to what nobody declared, by name."""
    found = undeclared({"telemetry_events": ["event_id", "customer_name"]}, {"requests", "shoe_sizes"})
    assert [(finding.rule, finding.entry) for finding in found] == [
        ("undeclared column", "telemetry_events.customer_name"),
        ("undeclared counter", "shoe_sizes"),
    ]


def test_each_entry_answers_the_readers_questions() -> None:
    """What it is, why, how sensitive, how long, and whether it leaves is said of each entry."""
    for entry in catalogue():
        assert entry.what
        assert entry.why
        assert entry.type
        assert entry.sensitivity in set(Sensitivity)
        assert entry.kept in {"for ever", "400 days", "90 days", "7 days"}


def test_what_names_a_visitor_stays() -> None:
    """Hashes of users and sessions, and raw events, never leave the install; how many there were does."""
    leaving = {(entry.group, entry.name) for entry in catalogue() if entry.leaves}
    assert not {group for group, _ in leaving} & {*EVENT_TYPES, "telemetry_events", "telemetry_sessions"}
    assert not [name for group, name in leaving if group != "counter" and re.search("user|session", name)]


def test_the_hosts_declarations_are_part_of_it() -> None:
    """A feature and a key that the application declares are listed with their own purpose."""
    own = Declarations().with_features({"pos_transaction": "a sale at the till"})
    own = own.with_metadata(
        Declaration(name="table_shape", kind=Kind.CHOICE, purpose="which plans are drawn", values=frozenset({"round"}))
    )
    entries = {(entry.group, entry.name): entry for entry in catalogue(own)}
    assert entries["feature", "pos_transaction"].why == "a sale at the till"
    assert entries["metadata", "table_shape"].what == "one of round"


def test_a_field_without_a_declaration_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A struct with a bare field cannot enter the catalogue unseen."""

    class Careless(msgspec.Struct):
        name: Annotated[str, msgspec.Meta(max_length=10)]

    monkeypatch.setattr(module, "_PLACES", (module._Place(Careless, "careless", "for ever", leaves=True),))
    with pytest.raises(TypeError, match=r"careless\.name is not declared"):
        catalogue()
