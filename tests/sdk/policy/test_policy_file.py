"""The policy file: what it takes away, what is wrong with it in words, and that it is obeyed as it is now."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.events import ApiRequest, ErrorEvent, FeatureUsage, Performance, SessionEvent
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.policy.file import CATEGORIES, OPTIONAL_FIELDS, STRICTEST, read_policy_file
from calos_telemetry.sdk.policy.restrictions import WITHHELD, Names, Restrictions
from calos_telemetry.sdk.policy.watch import FilePolicy, has_policy_file
from calos_telemetry.settings import MAX_REVIEW_HOURS, Settings

REQUEST = ApiRequest(
    "GET", "/internal/:id", 200, 5, 1, 1, "payroll", "u" * 16, "s" * 16, "CH", "Firefox", "Linux", "rest", None, True
)
USAGE = FeatureUsage(feature="payroll", metadata={"plan": "gold"}, user="u" * 16)
FAILURE = ErrorEvent(category="other", name="KeyError", message="m", stack="s", path="/internal/:id", context={"a": 1})
EVENTS = (REQUEST, USAGE, FAILURE, SessionEvent(action="start", session="s" * 16), Performance(metric="transaction", duration_us=1, name="payroll"))  # fmt: skip


def read(tmp_path: Path, text: str) -> Restrictions:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    return read_policy_file(file).restrictions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[drop]\nroute = ['/a']", "'route' is no key of [drop]: did you mean 'routes'?"),
        ("[drop]\nfields = ['contry']", "'contry' is no optional field: did you mean 'country'?"),
        ("[drop]\nfields = ['status']", "'status' is no optional field"),
        ("[drop]\ncategories = ['errors']", "'errors' is no category: did you mean 'error'?"),
        ("[drop]\ncountries = ['Chile']", "'Chile' is not a country's two capital letters"),
        ("[drop]\nroutes = ['admin']", "'admin' is not a template that begins with /"),
        ("[drop]\nroutes = '/a'", "routes must be a list"),
        ("[drop]\nfeatures = [1]", "features must be a list"),
        ("[drop]\nerror_texts = 1", "error_texts is 1: give true or false"),
        ("drop = 1", "drop must be a table"),
        ("add = 1", "'add' is no key"),
        ("review_hours = -1", "review_hours is -1: give 0 to 720 hours"),
        ("review_hours = nan", "review_hours is nan"),
        ("review_hours = true", "review_hours is True"),
        ("[drop", "it is not TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(tmp_path: Path, text: str, said: str) -> None:
    """Each mistake names the file, the word, and what to write instead."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "policy.toml" in str(caught.value)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """Not UTF-8, too large, a directory: a sentence each."""
    file = tmp_path / "policy.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="UTF-8"):
        read_policy_file(file)
    file.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(SettingsError, match="smaller"):
        read_policy_file(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_policy_file(tmp_path)


def test_a_withheld_route_has_no_name_no_text_and_still_counts() -> None:
    """Request and failure of a withheld route stay events, without template, message, stack and context."""
    restrictions = Restrictions(routes=Names.of(["/internal/*"]))
    request, failure = restrictions.of_event(REQUEST), restrictions.of_event(FAILURE)
    assert isinstance(request, ApiRequest)
    assert isinstance(failure, ErrorEvent)
    assert (request.path, request.inferred, request.status) == (WITHHELD, False, 200)
    assert (failure.path, failure.message, failure.stack, failure.context) == (WITHHELD, "", "", {})


def test_a_withheld_feature_has_no_name_wherever_it_appears() -> None:
    """In a request, in a use with its metadata, and as the name of a transaction."""
    restrictions = Restrictions(features=Names.of(["pay*"]))
    assert "payroll" not in repr([restrictions.of_event(event) for event in EVENTS])
    usage = restrictions.of_event(USAGE)
    assert isinstance(usage, FeatureUsage)
    assert (usage.feature, usage.metadata) == (WITHHELD, {})


def test_fields_and_countries_are_emptied() -> None:
    """A field that is dropped is empty in every kind of event; a country only where it is named."""
    request = Restrictions(fields=frozenset({"browser"}), countries=frozenset({"CH"})).of_event(REQUEST)
    assert isinstance(request, ApiRequest)
    assert (request.browser, request.os, request.country) == (None, "Linux", None)
    assert Restrictions(countries=frozenset({"DE"})).of_event(REQUEST) == REQUEST


def test_without_a_category_its_traces_in_other_events_go_as_well() -> None:
    """Without sessions no event tells a session or a user; without features no request tells one."""
    request = Restrictions(categories=frozenset({"session", "feature_usage"})).of_event(REQUEST)
    assert isinstance(request, ApiRequest)
    assert (request.user, request.session, request.feature) == (None, None, None)
    assert all(Restrictions(categories=CATEGORIES).of_event(event) is None for event in EVENTS)


SUBSETS = st.builds(
    Restrictions,
    categories=st.frozensets(st.sampled_from(sorted(CATEGORIES))),
    fields=st.frozensets(st.sampled_from(sorted(OPTIONAL_FIELDS))),
    routes=st.lists(st.sampled_from(["/internal/*", "/a", "*"])).map(Names.of),
    features=st.lists(st.sampled_from(["payroll", "*"])).map(Names.of),
    countries=st.frozensets(st.sampled_from(["CH", "DE"])),
)


@given(SUBSETS, st.sampled_from(EVENTS))
def test_no_restriction_ever_adds_anything(restrictions: Restrictions, event: ApiRequest) -> None:
    """Whatever is dropped, each field of the event keeps its value, becomes empty, or says that it is withheld."""
    kept = restrictions.of_event(event)
    if kept is None:
        return
    for name in event.__struct_fields__:
        assert getattr(kept, name) in (getattr(event, name), None, "", WITHHELD, False, 0, {})
    assert restrictions.of_event(kept) == kept


def test_a_change_is_noticed_and_obeyed(tmp_path: Path) -> None:
    """The file may come, change and go while the application runs."""
    file, policy = tmp_path / "policy.toml", FilePolicy(Settings(home=tmp_path), Tier.COMMUNITY)
    assert policy.restrictions is None
    for text, fields in (("country", {"country"}), ("os", {"os"})):
        file.write_text(f"[drop]\nfields = ['{text}']")
        assert policy.changed()
        policy.refresh()
        assert policy.restrictions is not None
        assert policy.restrictions.fields == fields
    file.unlink()
    policy.refresh()
    assert policy.restrictions is None


@pytest.mark.parametrize("tier", [Tier.COMMUNITY, Tier.PRO, Tier.ENTERPRISE])
def test_a_broken_file_takes_away_all_that_the_tier_allows(tmp_path: Path, tier: Tier) -> None:
    """It fails towards less and later, says so, and is obeyed again once it is corrected."""
    file = tmp_path / "policy.toml"
    file.write_text("[drop")
    policy = FilePolicy(Settings(home=tmp_path), tier)
    assert policy.restrictions is not None
    assert policy.restrictions.fields == STRICTEST.restrictions.fields
    assert policy.restrictions.categories == (CATEGORIES if tier is Tier.ENTERPRISE else frozenset())
    assert policy.review_hours == MAX_REVIEW_HOURS, "what was to be read first does not leave because of a typing error"
    assert policy.note is not None
    assert "not TOML" in policy.note
    file.write_text("")
    policy.refresh()
    assert not any((policy.restrictions, policy.note, policy.review_hours))


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """CALOS_POLICY that leads nowhere is a broken file, not one that takes nothing away."""
    policy = FilePolicy(Settings(home=tmp_path, policy=tmp_path / "nowhere.toml"), Tier.COMMUNITY)
    everything = Names.of("*")
    assert policy.restrictions == Restrictions(fields=OPTIONAL_FIELDS, routes=everything, features=everything)


def test_a_file_whose_directory_cannot_be_looked_into_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that may not be entered is not taken for one without the file."""

    def refuse(_path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    settings = Settings(home=tmp_path)
    assert has_policy_file(settings)
    assert FilePolicy(settings, Tier.COMMUNITY).restrictions is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_broken(tmp_path: Path) -> None:
    """A file without permission to read takes away all it may."""
    file = tmp_path / "policy.toml"
    file.write_text("")
    file.chmod(0)
    assert FilePolicy(Settings(home=tmp_path), Tier.COMMUNITY).restrictions is not None


def test_categories_need_the_tier_that_leaves_them_to_the_operator(tmp_path: Path) -> None:
    """They are obeyed for a proven Enterprise license; for others they have no effect, and the note says why."""
    (tmp_path / "policy.toml").write_text("[drop]\ncategories = ['error']")
    policy = FilePolicy(Settings(home=tmp_path), Tier.PRO)
    assert policy.restrictions is None
    assert policy.note is not None
    assert "Enterprise" in policy.note
    policy.refresh(Tier.ENTERPRISE)
    assert policy.restrictions is not None
    assert (policy.restrictions.categories, policy.note) == ({"error"}, None)


def test_storing_and_sending_ask_the_file_again(tmp_path: Path) -> None:
    """A file that came after the policy was made is obeyed by the next drain and the next report."""
    for ask in (Policy.store, Policy.send):
        policy = Policy(Settings(home=tmp_path), Tier.COMMUNITY)
        (tmp_path / "policy.toml").write_text("[drop]\nerror_texts = true")
        ask(policy)
        assert policy.file.restrictions is not None
        (tmp_path / "policy.toml").unlink()
