"""Settings: read from the environment in one place, checked at once, documented one by one."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pytest

from calos_telemetry.errors import SettingsError
from calos_telemetry.settings import ServerSettings, Settings

ROOT = Path(__file__).parents[1]
VARIABLE = re.compile(r"\b(?:CALOS|TELEMETRY)_[A-Z_]*[A-Z]\b")
EVERYTHING = {
    "CALOS_HOME": "/srv/calos",
    "CALOS_PUBLIC_HOST": "shop.example.com",
    "CALOS_LICENSE_KEY": "/srv/license.key",
    "TELEMETRY_DISABLED": "true",
    "CALOS_LICENSE_SERVER": "https://licenses.example.com:8700",
    "CALOS_VENDOR_KEY": "abc",
    "CALOS_OPERATOR_TOKEN": "hunter2",
    "CALOS_APP_VERSION": "2.4.1",
    "CALOS_DRAIN_SECONDS": "0.5",
    "CALOS_EVENTS_PER_DAY": "5000",
    "CALOS_DECLARATIONS": "/srv/declarations.toml",
    "TELEMETRY_DATABASE_URL": "postgresql://calos@db/calos",
    "TELEMETRY_DATABASE_SCHEMA": "telemetry",
    "CALOS_GEO_DATABASE": "/srv/countries.mmdb",
    "CALOS_COUNTRY_HEADER": "CF-IPCountry",
    "CALOS_POLICY": "/srv/policy.toml",
    "CALOS_REVIEW_HOURS": "24",
}


def named_in_code() -> set[str]:
    """Return every variable that the comments of the fields name."""
    lines = (ROOT / "src/calos_telemetry/settings.py").read_text().split("\n")
    return {match[1] for line in lines if (match := re.search(r"  # ((?:CALOS|TELEMETRY)_[A-Z_]+): ", line))}


def test_every_field_is_read_from_its_variable() -> None:
    """With every variable set no field keeps its default, and each field has a variable of its own."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    read, default = Settings.from_environment(EVERYTHING), Settings.from_environment({"HOME": "/root"})
    assert {name for name in fields if getattr(read, name) != getattr(default, name)} == fields
    assert len(EVERYTHING) == len(fields)


def test_every_variable_is_documented_and_every_documented_one_exists() -> None:
    """README's tables and the settings name the same variables; so do the comments next to the fields."""
    server = {f"CALOS_SERVER_{name}" for name in ("HOME", "ADMIN_TOKEN", "DATABASE_URL", "TELEMETRY_URL")}
    assert named_in_code() == set(EVERYTHING) | server
    assert set(VARIABLE.findall((ROOT / "README.md").read_text())) == set(EVERYTHING) | server


def test_the_environment_is_read_in_one_place() -> None:
    """No other module looks at the environment, but for the proxies that every program on the machine uses.

    The license server of a test gets the environment of the test, which is no reading.
    """
    source = ROOT / "src/calos_telemetry"
    modules = (path for path in source.rglob("*.py") if re.search(r"os\.(environ|getenv)", path.read_text()))
    readers = {str(path.relative_to(source)) for path in modules}
    assert readers - {"sdk/license/transport.py", "testing/vendor.py"} == {"settings.py"}


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_variable_is_an_unset_one(empty: str | None) -> None:
    """Variables that a compose file sets to nothing change nothing."""
    environ = dict.fromkeys(EVERYTHING, "") if empty == "" else {}
    assert Settings.from_environment(environ) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELEMETRY_DISABLED", "ture"),
        ("CALOS_DRAIN_SECONDS", "soon"),
        ("CALOS_DRAIN_SECONDS", "0"),
        ("CALOS_DRAIN_SECONDS", "-5"),
        ("CALOS_DRAIN_SECONDS", "nan"),
        ("CALOS_DRAIN_SECONDS", "inf"),
        ("CALOS_EVENTS_PER_DAY", "many"),
        ("CALOS_EVENTS_PER_DAY", "1e6"),
        ("CALOS_EVENTS_PER_DAY", "0"),
        ("CALOS_LICENSE_SERVER", "license.example.com"),
        ("CALOS_LICENSE_SERVER", "ftp://license.example.com"),
        ("CALOS_LICENSE_SERVER", "https://"),
        ("CALOS_LICENSE_SERVER", "https://[::1"),
        ("CALOS_LICENSE_SERVER", "https://license.example.com:99999"),
        ("CALOS_COUNTRY_HEADER", "CF IPCountry"),
        ("TELEMETRY_DATABASE_URL", "mysql://root@db/calos"),
        ("CALOS_HOME", "~nobody-of-that-name/calos"),
        ("CALOS_DECLARATIONS", "~nobody-of-that-name/declarations.toml"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_remedy(name: str, value: str) -> None:
    """A bad value ends in one sentence that names the variable and says what to give."""
    with pytest.raises(SettingsError, match=rf"{name} is .*(give|home)") as raised:
        Settings.from_environment({name: value})
    assert "\n" not in str(raised.value)


def test_a_refused_database_url_is_not_repeated() -> None:
    """A URL may hold a password, so the sentence about it does not quote it, and neither does the settings' text."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"TELEMETRY_DATABASE_URL": "mysql://root:hunter2@db/calos"})
    assert "hunter2" not in str(raised.value)


def test_secrets_stay_out_of_the_settings_text() -> None:
    """Whoever logs the settings logs neither a token nor a key nor a password."""
    settings = Settings(operator_token="hunter2", license_key="hunter3", database_url="postgresql://a:hunter4@b/c")
    assert "hunter" not in repr(settings) + repr(ServerSettings(admin_token="hunter5"))


def test_a_user_without_a_home_directory_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container whose user is in no password file the sentence names CALOS_HOME; with it set all is well."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(SettingsError, match="CALOS_HOME is needed"):
        Settings.from_environment({})
    assert Settings.from_environment({"CALOS_HOME": "/srv"}).home == Path("/srv")
    assert ServerSettings.from_environment({"CALOS_SERVER_HOME": "/srv"}).home == Path("/srv")


def test_a_relative_directory_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that goes to another directory later (a daemon goes to ``/``) takes its telemetry not with it."""
    monkeypatch.chdir(tmp_path)
    told = Settings.from_environment({"CALOS_HOME": "state", "CALOS_DECLARATIONS": "features.toml"})
    in_code = Settings(home=Path("state"))
    monkeypatch.chdir("/")
    assert told.home == in_code.home == tmp_path / "state"
    assert told.declarations == tmp_path / "features.toml"


def test_without_a_current_directory_a_full_path_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the current directory was removed a relative path means nothing, and a full one works."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match="give a full path"):
        Settings(home=Path("state"))
    assert Settings(home=tmp_path).home == tmp_path


def test_of_a_bad_environment_the_license_and_the_door_are_kept() -> None:
    """What is salvaged holds the license, the vendor's key and the operator's token, and no usable home."""
    kept = Settings.salvaged({**EVERYTHING, "CALOS_DRAIN_SECONDS": "soon"})
    assert (kept.license_key, kept.vendor_key, kept.operator_token) == ("/srv/license.key", "abc", "hunter2")
    assert not kept.home.is_dir()
