"""The country of a request: from the named header or the operator's database, in every kind of application, and no address."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import mmdb_writer
import msgspec
import netaddr  # type: ignore[import-untyped]
import pytest
from fastapi import FastAPI
from flask import Flask
from sqlalchemy import select
from starlette.testclient import TestClient

from calos_telemetry import Settings, Telemetry, TelemetryMiddleware
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.middleware.flask import init_flask
from calos_telemetry.sdk.record.countries import Countries
from calos_telemetry.store.tables import events

HOST = "shop.example.com"
DUTCH, DANISH = "145.97.20.20", "80.62.117.5"
PRIVATE = "10.1.2.3"


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a database with two countries."""
    writer = mmdb_writer.MMDBWriter(ip_version=6, ipv4_compatible=True)
    for network, code in (("145.97.0.0/16", "NL"), ("80.62.0.0/16", "DK")):
        writer.insert_network(netaddr.IPSet([network]), {"country": {"iso_code": code}})
    path = tmp_path_factory.mktemp("geo") / "countries.mmdb"
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize(
    ("header", "peer", "value", "country"),
    [
        (None, DUTCH, None, "NL"),
        (None, DUTCH, "DK", "NL"),  # a header that nobody named is a visitor's own
        (None, PRIVATE, DANISH, None),
        ("CF-IPCountry", DUTCH, "DK", "DK"),
        ("CF-IPCountry", DUTCH, None, None),  # the peer is the proxy
        ("CF-IPCountry", DUTCH, "XX", None),
        ("X-Forwarded-For", PRIVATE, DANISH, "DK"),
        ("X-Forwarded-For", PRIVATE, f"{DUTCH}, {DANISH}", "DK"),  # the visitor wrote the first, the proxy the last
        ("X-Forwarded-For", PRIVATE, f"{DANISH}, unknown", None),
        ("X-Forwarded-For", PRIVATE, "<script>" * 1000, None),
    ],
)
def test_what_is_trusted(database: Path, header: str | None, peer: str, value: str | None, country: str | None) -> None:
    """Only the named header counts, and of a list of addresses only the entry that the proxy wrote itself."""
    assert Countries(database, header).of(peer, value) == country


def test_without_settings_nothing_is_known() -> None:
    """The request path asks nothing at all, and no header is looked for."""
    countries = Countries()
    assert (countries.known, countries.header, countries.environ) == (False, None, None)


def test_the_header_is_enough() -> None:
    """A proxy that tells the country needs no database."""
    assert Countries(None, "CF-IPCountry").of(None, "dk") == "DK"


def test_a_header_name_that_is_none() -> None:
    """A name that no header can have is refused at start, in a sentence."""
    with pytest.raises(SettingsError, match="CALOS_COUNTRY_HEADER is 'X Country: '"):
        Settings(country_header="X Country: ")


def fastapi(telemetry: Telemetry) -> Callable[..., object]:
    """Make a FastAPI application and return how it is asked."""
    app = FastAPI()
    app.get("/")(lambda: None)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    return lambda headers: TestClient(app, client=(DUTCH, 4711), base_url=f"http://{HOST}").get("/", headers=headers)


def flask(telemetry: Telemetry) -> Callable[..., object]:
    """Make a Flask application and return how it is asked."""
    app = Flask(__name__)
    app.get("/")(lambda: "x")
    init_flask(app, telemetry)
    where = {"REMOTE_ADDR": DUTCH, "HTTP_HOST": HOST}
    return lambda headers: app.test_client().get("/", headers=headers, environ_overrides=where).close()


@pytest.fixture(params=[fastapi, flask])
def visit(request: pytest.FixtureRequest) -> Callable[[Telemetry, dict[str, str]], object]:
    """Ask an application of either kind, with these headers, from a Dutch address."""
    return lambda telemetry, headers: request.param(telemetry)(headers)


@pytest.fixture
def telemetry(tmp_path: Path, database: Path, request: pytest.FixtureRequest) -> Iterator[Telemetry]:
    """Return telemetry with a database, and with the header that the test names."""
    header = request.param
    made = Telemetry(
        Settings(home=tmp_path / "home", public_host=HOST, server="http://127.0.0.1:9", geo_database=database,
                 country_header=header)
    )  # fmt: skip
    yield made
    made.close()
    assert not made.failures


@pytest.mark.parametrize(
    ("telemetry", "country"),
    [(None, "NL"), ("CF-IPCountry", "DK"), ("X-Forwarded-For", "DK")],
    indirect=["telemetry"],
)
def test_the_country_is_stored_and_the_address_is_not(
    telemetry: Telemetry, visit: Callable[[Telemetry, dict[str, str]], object], country: str
) -> None:
    """A request's country is counted in the database, and no file of the install holds an address in any form."""
    visit(telemetry, {"CF-IPCountry": "DK", "X-Forwarded-For": f"{DUTCH}, {DANISH}"})
    telemetry.flush()
    with telemetry.install.engine.connect() as connection:
        assert msgspec.json.decode(connection.scalars(select(events.c.event_data)).one())["country"] == country
    with sqlite3.connect(telemetry.settings.home / "telemetry.db") as plain:
        assert plain.execute("select key, value from telemetry_aggregates where counter = 'country'").fetchall() == [
            (country, 1)
        ]
    plain.close()
    for path in telemetry.settings.home.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for address in (DUTCH, DANISH):
            assert address.encode() not in content
            assert netaddr.IPAddress(address).packed not in content


@pytest.mark.parametrize("telemetry", [None], indirect=True)
def test_a_missing_database_costs_no_request(tmp_path: Path, telemetry: Telemetry) -> None:
    """The request is recorded without a country, and the operator can read why."""
    del telemetry
    made = Telemetry(Settings(home=tmp_path / "other", public_host=HOST, geo_database=tmp_path / "missing.mmdb"))
    fastapi(made)({})
    made.flush()
    assert made.install.books().stored == 1
    assert made.pipeline is not None
    assert "missing.mmdb cannot be used as a country database" in str(made.pipeline.countries.problem)
    made.close()
