"""The URL of a ClickHouse: what it says, and what is told about one that says nothing usable."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.errors import SettingsError
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.clickhouse_address import Host, parse_address

NO_ENTRY_POINT = "import importlib.metadata as m; m.entry_points = lambda **_: {}"
CREDENTIAL = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(CREDENTIAL, CREDENTIAL)
def test_any_user_and_password_can_be_written(user: str, password: str) -> None:
    """Percent-encoded, whatever signs they have; the password shows nowhere."""
    address = parse_address(f"clickhouse://{quote(user, safe='')}:{quote(password, safe='')}@h/d")
    assert (address.user, address.password) == (user, password)
    assert str(address) == "ClickHouse d at h:8123"
    assert "password" not in repr(address)


def test_every_part_is_read() -> None:
    """Hosts with and without a port, an IPv6 address, and each option."""
    address = parse_address("clickhouse://u:p@one,two:9000,[::1]:8124/calos?cluster=main&replicated=true&secure=true")
    assert address.hosts == (Host("one", 8443), Host("two", 9000), Host("::1", 8124))
    assert (address.database, address.cluster, address.replicated, address.secure) == ("calos", "main", True, True)


def test_what_is_left_out_is_the_usual() -> None:
    """ClickHouse's own user and port, no cluster, no TLS."""
    address = parse_address("clickhouse://h/calos")
    assert (address.user, address.password, address.hosts) == ("default", "", (Host("h", 8123),))
    assert (address.cluster, address.replicated, address.secure) == (None, False, False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("clickhouse://hunter2@h", "cannot be read"),
        ("clickhouse://h/no-such;name", "cannot be read"),
        ("clickhouse://h:0/d", "a host that cannot be read"),
        ("clickhouse://h:99999/d", "a host that cannot be read"),
        ("clickhouse://a,,b/d", "a host that cannot be read"),
        ("clickhouse://h/d?clutser=x", "the option 'clutser'"),
        ("clickhouse://h/d?secure=1", "secure=1: give true or false"),
        ("clickhouse://h/d?cluster=a`b", "no usable cluster"),
        ("clickhouse://h/d?replicated=true", "name the cluster, too"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_secrets(url: str, said: str) -> None:
    """The sentence says what is wrong; the URL is not repeated."""
    with pytest.raises(SettingsError, match=said) as raised:
        parse_address(url)
    assert "hunter2" not in str(raised.value)


def test_a_setting_of_another_kind_is_refused_at_once() -> None:
    """Before anything is opened, and without the secret in it."""
    with pytest.raises(SettingsError, match="CALOS_SERVER_TELEMETRY_URL is of another kind") as raised:
        ServerSettings.from_environment({"CALOS_SERVER_TELEMETRY_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("hidden", ["import sys; sys.modules['clickhouse_connect'] = None", NO_ENTRY_POINT])
def test_a_missing_driver_is_told(hidden: str) -> None:
    """Without the extra the sentence says what to install, however the driver is missing."""
    program = (
        f"{hidden}\nfrom calos_telemetry.store.clickhouse import open_clickhouse\nopen_clickhouse('clickhouse://h/d')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "SettingsError: a ClickHouse URL needs a driver: pip install 'calos-telemetry[clickhouse]'" in done.stderr
