from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.obfuscate.place import Places, country_from_header

pytest.importorskip("maxminddb")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a real database with the three layouts that operators have."""
    writer_module = pytest.importorskip("mmdb_writer", reason="mmdb-writer makes the database of these tests")
    netaddr = pytest.importorskip("netaddr")
    writer = writer_module.MMDBWriter(6, "Test-Country", languages=["en"], ipv4_compatible=True)
    writer.insert_network(netaddr.IPSet(["8.8.8.0/24"]), {"country": {"iso_code": "US"}})
    writer.insert_network(netaddr.IPSet(["81.2.69.0/24"]), {"country_code": "gb"})
    writer.insert_network(netaddr.IPSet(["2a02:ffc0::/32"]), {"country": "DE", "as_name": "somebody"})
    writer.insert_network(netaddr.IPSet(["185.67.176.0/22"]), {"country": {"iso_code": "XK"}})
    writer.insert_network(netaddr.IPSet(["9.9.9.0/24"]), {"country": {"iso_code": "<b>"}, "country_code": ["x"]})
    path = tmp_path_factory.mktemp("geo") / "country.mmdb"
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("8.8.8.8", "US"),
        (" 8.8.8.8:51234 ", "US"),
        ("::ffff:8.8.8.8", "US"),
        ("81.2.69.142", "GB"),
        ("2a02:ffc0::1", "DE"),
        ("[2a02:ffc0::1]:443", "DE"),
        ("2a02:ffc0::1%eth0", "DE"),
        ("185.67.177.1", "XK"),
        ("9.9.9.9", None),
        ("1.1.1.1", None),
        ("127.0.0.1", None),
        ("10.0.0.1", None),
        ("testclient", None),
        ("", None),
        (None, None),
        (b"8.8.8.8", None),
        ("8" * 1_000_000, None),
    ],
)
def test_countries_of_addresses(database: Path, address: object, country: str | None) -> None:
    """Every spelling of an address finds its country in every usual layout of database, and nothing else is a country."""
    assert Places(database).country(address) == country


@given(st.text(max_size=100) | st.ip_addresses().map(str))
def test_any_address_without_a_database_is_nowhere(address: str) -> None:
    """Without a database the answer is None, whatever the address."""
    assert Places().country(address) is None


def test_a_missing_or_damaged_database_is_reported_once(tmp_path: Path) -> None:
    """A file that is not there or not a database costs countries, not requests, and says so."""
    damaged = tmp_path / "damaged.mmdb"
    damaged.write_bytes(b"not a database")
    for path in (tmp_path / "missing.mmdb", damaged):
        places = Places(path)

        assert places.problem is None
        assert places.country("8.8.8.8") is None
        assert path.name in str(places.problem)


def test_the_database_opens_lazily_and_again_after_close(database: Path) -> None:
    """Nothing is opened before the first lookup; after `close` a newer file is read."""
    places = Places(database)
    assert places._reader is None

    assert places.country("8.8.8.8") == "US"
    places.close()

    assert places._reader is None
    assert places.country("8.8.8.8") == "US"
    places.close()


def test_the_address_is_not_kept(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After a lookup neither the object nor the log knows the address."""
    places = Places(database)
    with caplog.at_level(logging.DEBUG):
        places.country("81.2.69.142")

    assert "81.2.69" not in repr(vars(places)) + caplog.text


@pytest.mark.parametrize(
    ("value", "country"),
    [("de", "DE"), (" GB ", "GB"), ("XX", None), ("T1", None), ("", None), ("Germany", None), (None, None), (5, None)],
)
def test_a_proxys_header_is_checked_against_the_list(value: object, country: str | None) -> None:
    """Only a code of ISO 3166 is taken from a header."""
    assert country_from_header(value) == country


@given(st.text())
def test_any_header_gives_a_code_or_nothing(value: str) -> None:
    """A header cannot bring a text of its own into the answer."""
    country = country_from_header(value)

    assert country is None or (len(country) == 2 and country.isupper())
