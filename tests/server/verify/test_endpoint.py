"""``POST /verify``: every code, in the order of work of SECURITY §2.4."""

from __future__ import annotations

import dataclasses
import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, select, text, update
from starlette.testclient import TestClient
from tests.server.install import Install, aggregate_row, report

from calos_telemetry.clock import MS_PER_DAY, MS_PER_SECOND, now_ms, to_iso
from calos_telemetry.contract.license import possession
from calos_telemetry.contract.report import CLOCK_TOLERANCE_MS, MAX_WIRE, Report, VerifyRequest, freeze, request_base
from calos_telemetry.contract.signing import key_id, sign
from calos_telemetry.contract.tiers import Tier, terms_of
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Issued
from calos_telemetry.server.app import create_app
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store import tables
from calos_telemetry.store.database import writing
from calos_telemetry.store.vendor_tables import installs

MakeInstall = Callable[..., Install]
Issue = Callable[..., Issued]


def count(vendor: Vendor, table: Any) -> int:
    with vendor.store.telemetry.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_a_license_key_is_proved_without_travelling(install: MakeInstall, issue: Issue) -> None:
    """An install that holds a Pro key gets VALID and a Pro lease; no part of the key is in the request."""
    issued = issue()
    one = install(license_key=issued.key)
    wire = freeze(one.request())
    assert not any(line.encode() in gzip.decompress(wire) for line in issued.key.splitlines()[1:-1])
    answer = one.send(wire)
    assert (answer.license.code, answer.license.tier) == ("VALID", Tier.PRO)
    lease = answer.license.lease
    assert lease is not None
    period = terms_of(Tier.PRO).verify_every or 0
    assert lease.expires_at - lease.issued_at == period * MS_PER_SECOND
    assert lease.grace_until - lease.expires_at == 7 * MS_PER_DAY
    assert lease.features == sorted(terms_of(Tier.PRO).features)


def test_no_license_key_is_the_community_edition(install: MakeInstall) -> None:
    """Without a key the answer is COMMUNITY, with a lease of a day."""
    answer = install().verify()
    assert (answer.license.code, answer.license.tier) == ("COMMUNITY", Tier.COMMUNITY)
    assert answer.license.lease is not None
    assert answer.telemetry.code == "NONE"


@pytest.mark.parametrize("changes", [{"proof": "0" * 64}, {"license_id": "0" * 32}, {"proof": None}])
def test_a_key_that_is_not_proved_is_not_found_and_gets_no_lease(
    install: MakeInstall, issue: Issue, changes: dict[str, Any]
) -> None:
    """Knowing a license's id is not enough; and since we cannot tell, the answer takes nothing away."""
    answer = install(license_key=issue().key).verify(**changes)
    assert (answer.license.code, answer.license.lease) == ("NOT_FOUND", None)


def test_a_proof_is_worth_nothing_to_another_install(install: MakeInstall, issue: Issue) -> None:
    """A proof that was overheard is bound to the install that made it."""
    issued = issue()
    stolen = possession(issued.key, install().install_id)
    answer = install(license_key=issued.key).verify(proof=stolen)
    assert answer.license.code == "NOT_FOUND"


def test_an_expired_license_falls_to_community(install: MakeInstall, issue: Issue) -> None:
    """The signed "no" of an expired license names the day, and the lease is that of the community edition."""
    answer = install(license_key=issue(days=1, at=now_ms() - 2 * MS_PER_DAY).key).verify()
    assert (answer.license.code, answer.license.tier) == ("EXPIRED", Tier.COMMUNITY)
    assert answer.license.lease is not None
    assert answer.license.lease.tier is Tier.COMMUNITY


def test_a_revoked_license_says_why(install: MakeInstall, issue: Issue, vendor: Vendor) -> None:
    """Revocation is learnt at the next verification, with the vendor's reason."""
    issued = issue()
    one = install(license_key=issued.key)
    assert one.verify().license.code == "VALID"
    with writing(vendor.store.licenses) as connection:
        licenses.revoke(connection, issued.id, "the invoice was not paid", now_ms())
    answer = one.verify()
    assert (answer.license.code, answer.license.tier) == ("REVOKED", Tier.COMMUNITY)
    assert "the invoice was not paid" in answer.license.message


def test_too_many_domains_are_said_and_not_blocked(install: MakeInstall, issue: Issue) -> None:
    """The sixth host name of a Pro license is answered in words, with the full Pro lease."""
    issued = issue()
    for number in range(5):
        assert install(license_key=issued.key, domain=f"shop{number}.example.com").verify().license.code == "VALID"
    assert install(license_key=issued.key, domain="SHOP0.example.com.").verify().license.code == "VALID"
    answer = install(license_key=issued.key, domain="sixth.example.com").verify()
    assert (answer.license.code, answer.license.tier) == ("TOO_MANY_DOMAINS", Tier.PRO)
    assert answer.license.lease is not None
    assert answer.license.lease.tier is Tier.PRO


def test_a_host_name_that_was_given_up_counts_no_longer(install: MakeInstall, issue: Issue, vendor: Vendor) -> None:
    """Moving to another host name does not use up the license: only those of the last 30 days count."""
    issued = issue()
    for number in range(5):
        install(license_key=issued.key, domain=f"shop{number}.example.com").verify()
    with writing(vendor.store.licenses) as connection:
        connection.execute(update(installs).values(last_seen_at=now_ms() - 31 * MS_PER_DAY))
    assert install(license_key=issued.key, domain="new.example.com").verify().license.code == "VALID"


def test_a_domain_the_license_does_not_name_is_said_and_not_blocked(install: MakeInstall, issue: Issue) -> None:
    """A license for one host, used on another, stays valid and says so."""
    answer = install(license_key=issue(domains=("other.example.com",)).key).verify()
    assert (answer.license.code, answer.license.tier) == ("VALID", Tier.PRO)
    assert "does not name shop.example.com" in answer.license.message


def test_a_second_key_for_an_install_is_forked_and_keeps_the_tier(
    install: MakeInstall, issue: Issue, vendor: Vendor
) -> None:
    """A copy with another key keeps the tier that its license proves; its telemetry is not mixed into the first's."""
    issued = issue()
    first = install(license_key=issued.key)
    first.verify()
    copy = install(license_key=issued.key, install_id=first.install_id)
    answer = copy.verify(report())
    assert (answer.license.code, answer.license.tier) == ("FORKED", Tier.PRO)
    assert answer.license.lease is not None
    assert (answer.telemetry.code, count(vendor, tables.features)) == ("REFUSED", 0)
    assert first.verify().license.code == "VALID", "the key that came first stays"


def test_lease_numbers_rise_above_all_that_was_seen(install: MakeInstall) -> None:
    """Each lease has a higher number, also where the server's own book lags behind what the install has seen."""
    one = install()
    numbers = []
    for seen in (0, 0, 1, 40, 0, 2**53 - 1):
        lease = one.verify(lease_number=seen).license.lease
        assert lease is not None
        numbers.append(lease.number)
    assert numbers == [1, 2, 3, 41, 42, 43]


@pytest.mark.parametrize("minutes", [-11, 11, -60 * 24 * 365])
def test_a_wrong_clock_is_answered_with_the_right_time(install: MakeInstall, vendor: Vendor, minutes: int) -> None:
    """Outside the tolerance the answer is CLOCK with the signed time, nothing is enrolled, nothing is taken away."""
    one = install()
    wire = freeze(one.request(report()))
    headers = one.headers(wire, created_at=now_ms() + minutes * 60_000)
    answer = one.open(one.post(wire, headers), wire, headers["Calos-Nonce"])
    assert (answer.license.code, answer.license.lease, answer.telemetry.code) == ("CLOCK", None, "RETRY")
    assert abs(answer.now - now_ms()) < CLOCK_TOLERANCE_MS
    with vendor.store.licenses.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(installs)) == 0


def test_a_replayed_request_is_refused_and_says_what_to_do(install: MakeInstall) -> None:
    """The same bytes under the same envelope are answered once; under a new envelope they are answered again."""
    one = install()
    wire = freeze(one.request(report()))
    headers = one.headers(wire)
    assert one.post(wire, headers).status_code == 200
    again = one.post(wire, headers)
    assert (again.status_code, again.json()["error"]) == (425, "REPLAYED")
    one.check_signature(again, wire, headers["Calos-Nonce"])
    assert one.send(wire).telemetry.code == "DUPLICATE"


def test_the_next_check_has_a_window_of_its_own(install: MakeInstall) -> None:
    """Every install gets its own window before lease and grace end; the windows do not fall together."""
    begins = []
    for _ in range(20):
        answer = install().verify()
        lease = answer.license.lease
        assert lease is not None
        assert answer.now + 8 * 3_600_000 <= answer.next_check.not_before < answer.next_check.not_after
        assert answer.next_check.not_after <= lease.grace_until
        begins.append(answer.next_check.not_before - answer.now)
    assert max(begins) - min(begins) > 3_600_000


@pytest.mark.parametrize(
    ("name", "value", "status", "error"),
    [
        ("Content-Type", "text/plain", 415, "KIND"),
        ("Content-Encoding", "identity", 415, "KIND"),
        ("Content-Encoding", "", 415, "KIND"),
        ("Calos-Signature", "", 401, "UNSIGNED"),
        ("Calos-Signature", "a.b", 401, "UNSIGNED"),
        ("Calos-Signature", "A" * 12 + "." + "A" * 86, 401, "OTHER_KEY"),
        ("Calos-Created", "yesterday", 400, "MALFORMED"),
        ("Calos-Nonce", "short", 400, "MALFORMED"),
        ("Calos-Nonce", "A" * 81, 400, "MALFORMED"),
        ("Calos-Install", "../../etc/passwd", 400, "MALFORMED"),
        ("Calos-Install", "0" * 32, 401, "OTHER_INSTALL"),
        ("Calos-Nonce", "A" * 22, 401, "BAD_SIGNATURE"),
    ],
)
def test_a_broken_envelope_is_refused_in_words(
    install: MakeInstall, name: str, value: str, status: int, error: str
) -> None:
    """Each header that is missing, malformed or not the signed one has its own status, word and sentence."""
    one = install()
    wire = freeze(one.request())
    response = one.post(wire, one.headers(wire) | {name: value})
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert len(response.json()["sentence"]) > 20


def test_an_enrolled_install_is_checked_before_its_body_is_read(install: MakeInstall) -> None:
    """Of a known install not even garbage is inflated unless its key signed it."""
    one = install()
    one.verify()
    forged = b"\x1f\x8b garbage"
    headers = one.headers(b"something else")
    assert one.post(forged, headers).json()["error"] == "BAD_SIGNATURE"
    assert one.post(forged, one.headers(forged)).json()["error"] == "MALFORMED"


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"{}",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"{", mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(b'{"v":1,"license":{}}', mtime=0),
        gzip.compress(b'{"v":1e400}', mtime=0),
        gzip.compress(b"\xff\xfe", mtime=0),
        gzip.compress(b"0" * (9 << 20), mtime=0),
        gzip.compress(b"{}", mtime=0) * 2,
        gzip.compress(b"{}", mtime=0)[:-3],
    ],
)
def test_a_body_that_is_no_verification_is_refused_in_words(install: MakeInstall, wire: bytes) -> None:
    """Not gzip, cut, chained, a bomb, too deep, not JSON, not the type: 400 with a reason, signed, no traceback."""
    one = install()
    headers = one.headers(wire)
    response = one.post(wire, headers)
    assert (response.status_code, response.json()["error"]) == (400, "MALFORMED")
    one.check_signature(response, wire, headers["Calos-Nonce"])


def test_another_version_is_named(install: MakeInstall) -> None:
    """A client of another protocol version learns which one is spoken here."""
    one = install()
    wire = freeze(msgspec.structs.replace(one.request(), v=2))
    assert one.post(wire, one.headers(wire)).json()["error"] == "VERSION"


def test_too_many_bytes_are_refused_unread(install: MakeInstall, client: TestClient) -> None:
    """More than a MiB is refused by its announced length, and by counting where none is announced."""
    one = install()
    wire = b"0" * (MAX_WIRE + 1)
    assert one.post(wire, one.headers(wire)).status_code == 413
    response = client.post("/verify", content=iter([wire[:1000], wire]), headers=one.headers(wire))
    assert response.status_code == 413
    assert client.post("/verify", headers=one.headers(b"") | {"Content-Length": "9" * 30}).status_code == 413
    assert client.post("/verify", headers=one.headers(b"") | {"Content-Length": "-1"}).status_code == 413


@pytest.mark.parametrize(
    "telemetry",
    [
        *(b"{}", b"[]", b'"report"', b"17", b'{"number":-1}', b"[" * 500 + b"]" * 500),
        *(b"", b"NaN", b"{", b"}", b"\xff", b'{"number":Infinity}', b"[" * 100_000, b'null,"telemetry":{'),
    ],
)
def test_telemetry_that_is_no_report_does_not_change_the_license_answer(
    install: MakeInstall, issue: Issue, telemetry: bytes
) -> None:
    """Whatever stands where the report should be, the license is answered in full."""
    one = install(license_key=issue().key)
    body = msgspec.json.encode(one.request())
    wire = gzip.compress(body.replace(b'"telemetry":null', b'"telemetry":' + telemetry))
    answer = one.send(wire)
    assert (answer.license.code, answer.telemetry.code) == ("VALID", "REFUSED")
    assert answer.license.lease is not None


def test_a_broken_telemetry_database_does_not_change_the_license_answer(
    install: MakeInstall, issue: Issue, vendor: Vendor
) -> None:
    """With the telemetry tables gone the license is answered, and the report is asked for again later."""
    with writing(vendor.store.telemetry) as connection:
        connection.execute(text("DROP TABLE telemetry_features"))
    answer = install(license_key=issue().key).verify(report())
    assert (answer.license.code, answer.telemetry.code) == ("VALID", "RETRY")
    assert count(vendor, tables.aggregates) == 0, "nothing is half-written"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
REPORT_LIKE = st.fixed_dictionaries({}, optional=dict.fromkeys(Report.__struct_fields__, JSON))


@given(telemetry=JSON | REPORT_LIKE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_telemetry_changes_the_license_answer(install: MakeInstall, issue: Issue, telemetry: object) -> None:
    """Any JSON where the report should be, report-like or not: the license is answered VALID, with its lease."""
    one = install(license_key=issue().key)
    body = msgspec.to_builtins(one.request()) | {"telemetry": telemetry}
    answer = one.send(gzip.compress(json.dumps(body, separators=(",", ":")).encode()))
    assert (answer.license.code, answer.license.tier) == ("VALID", Tier.PRO)
    assert answer.license.lease is not None
    assert answer.telemetry.code == ("NONE" if telemetry is None else "REFUSED")


def test_locked_telemetry_does_not_hold_up_the_license_answer(
    install: MakeInstall, issue: Issue, vendor: Vendor, home: Path
) -> None:
    """While somebody holds the telemetry database, licenses are answered and reports asked for again."""
    vendor.store.telemetry.dispose()
    impatient = create_engine(f"sqlite:///{home / 'telemetry.db'}", connect_args={"timeout": 0.05})
    store = dataclasses.replace(vendor.store, telemetry=impatient)
    vendor.store = store
    with closing(sqlite3.connect(home / "telemetry.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = install(license_key=issue().key).verify(report())
    assert (answer.license.code, answer.telemetry.code) == ("VALID", "RETRY")


def test_where_an_install_called_from_is_kept_nowhere(vendor: Vendor, home: Path, issue: Issue) -> None:
    """No file of the server holds the address, the agent or the forwarded address of an install."""
    with TestClient(create_app(ServerSettings(home=home)), client=("203.0.113.77", 50000)) as client:
        one = Install(vendor=vendor, client=client, license_key=issue().key)
        wire = freeze(one.request(report()))
        seen = {"User-Agent": "agent-of-the-install", "X-Forwarded-For": "198.51.100.23"}
        assert one.post(wire, one.headers(wire) | seen).status_code == 200
    content = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert one.install_id.encode() in content
    assert not [word for word in (b"203.0.113.77", b"198.51.100.23", b"agent-of-the-install") if word in content]


def test_who_buys_is_not_in_the_telemetry(install: MakeInstall, issue: Issue, home: Path) -> None:
    """The database of the analysts knows neither license nor licensee nor host name."""
    issued = issue(licensee="Dunder Mifflin")
    install(license_key=issued.key, domain="paper.example.com").verify(report())
    content = (home / "telemetry.db").read_bytes()
    assert not [word for word in ("Dunder", issued.id, "paper.example.com") if word.encode() in content]


def test_broken_books_are_said_to_be_unavailable(install: MakeInstall, client: TestClient, vendor: Vendor) -> None:
    """Without its licenses the server decides nothing: 503 here and at /status, and installs change nothing."""
    with writing(vendor.store.licenses) as connection:
        connection.execute(text("DROP TABLE licenses"))
        connection.execute(text("DROP TABLE installs"))
    one = install()
    wire = freeze(one.request())
    assert one.post(wire, one.headers(wire)).status_code == 503
    assert client.get("/status").status_code == 503


def test_status_and_keys_are_open(client: TestClient, vendor: Vendor) -> None:
    """Health and the keyring need no sign-in."""
    assert client.get("/status").json()["status"] == "ok"
    assert client.get("/keys").content == msgspec.json.encode(vendor.keys.keyring)


def test_rows_of_a_report_are_stored_under_the_install_that_signed(install: MakeInstall, vendor: Vendor) -> None:
    """The install id of every row is the verified one: no body can name another's."""
    one = install()
    answer = one.verify(report(aggregates=[aggregate_row(), aggregate_row(key="5xx", value=1)]))
    assert (answer.telemetry.code, answer.telemetry.rejected) == ("ACCEPTED", {})
    with vendor.store.telemetry.connect() as connection:
        ids = {row.install_id for row in connection.execute(select(tables.aggregates.c.install_id))}
    assert ids == {one.install_id}


def test_a_request_signed_for_another_vendor_is_refused(install: MakeInstall) -> None:
    """The signature names the vendor it is meant for, so that one vendor cannot replay it to another."""
    one = install()
    wire, created, nonce = freeze(one.request()), to_iso(now_ms()), "n" * 22
    base = request_base("another-root", one.install_id, wire, created, nonce)
    signature = f"{key_id(one.key.public_key())}.{sign(one.key, base)}"
    told = {"Calos-Created": created, "Calos-Nonce": nonce, "Calos-Signature": signature}
    assert one.post(wire, one.headers(wire) | told).json()["error"] == "BAD_SIGNATURE"


def test_the_frozen_body_is_the_same_for_the_same_request(install: MakeInstall) -> None:
    """A retry repeats the body byte for byte."""
    one = install()
    request: VerifyRequest = one.request()
    assert freeze(request) == freeze(request)


def test_keys_shown_in_the_body_must_be_keys(install: MakeInstall) -> None:
    """A public key that is not one is refused with the field's name."""
    one = install()
    for wrong in ("", "AAAA", "!" * 43, "A" * 80):
        wire = freeze(one.request(install_key=wrong))
        response = one.post(wire, one.headers(wire))
        assert (response.status_code, response.json()["error"]) == (400, "MALFORMED")
        assert "install_key" in response.json()["sentence"]
