"""The exchange: frozen bytes, bounded inflation, and what each signature covers."""

from __future__ import annotations

import gzip
import tracemalloc

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.contract.report import (
    MAX_INFLATED,
    MAX_ROWS,
    LicensePart,
    Product,
    RawVerifyRequest,
    VerifyRequest,
    answer_base,
    freeze,
    inflate,
    request_base,
)
from calos_telemetry.contract.rows import AggregateRow
from calos_telemetry.contract.signing import check, sign
from calos_telemetry.errors import ProtocolError, SignatureError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PART = LicensePart(
    install_id="a" * 32, install_key="k" * 43, license_id=None, proof=None, domain=None, lease_number=0,
    product=Product(app="1", sdk="1", python="3", os="linux"),
)  # fmt: skip
REQUEST = VerifyRequest(v=1, license=PART, telemetry=None)


def test_the_same_request_is_the_same_bytes() -> None:
    """No time, no name and no order leaks into the frozen bytes: a retry repeats them exactly."""
    assert freeze(REQUEST) == freeze(msgspec.json.decode(inflate(freeze(REQUEST)), type=VerifyRequest))


@given(st.binary(max_size=2_000))
def test_what_was_packed_comes_out(content: bytes) -> None:
    """One member in, the same bytes out, at the limit as well."""
    assert inflate(gzip.compress(content), limit=len(content)) == content


@given(st.binary(min_size=1, max_size=500))
def test_one_byte_over_the_limit_is_refused(content: bytes) -> None:
    """The limit is exact."""
    with pytest.raises(ProtocolError, match="inflates to more"):
        inflate(gzip.compress(content), limit=len(content) - 1)


@given(st.binary(max_size=300), st.data())
def test_anything_but_one_whole_member_is_refused(content: bytes, data: st.DataObject) -> None:
    """Cut anywhere, doubled, or followed by anything: refused in words."""
    wire = gzip.compress(content)
    for broken in (wire[: data.draw(st.integers(0, len(wire) - 1))], wire * 2, wire + b"\0", b"x" + wire):
        with pytest.raises(ProtocolError):
            inflate(broken)


def test_the_most_monotonous_report_comes_through_and_a_bomb_does_not() -> None:
    """A full report of one series on ever other days, each text as long as it may be, inflates; a body of zeros does not,
    although it would stay below the limit for bytes."""
    days = (date_of(day * MS_PER_DAY) for day in range(MAX_ROWS))
    monotonous = [AggregateRow(date=day, counter="feature", key="x" * 200, value=1, revision=2**40) for day in days]
    content = msgspec.json.encode(monotonous)
    assert inflate(gzip.compress(content, compresslevel=9)) == content
    with pytest.raises(ProtocolError, match="inflates to more"):
        inflate(gzip.compress(bytes(MAX_INFLATED // 2)))


def test_a_bomb_stops_at_the_limit() -> None:
    """Half a gigabyte of zeros in half a megabyte costs no more memory than the limit allows."""
    bomb = gzip.compress(bytes(64 << 20), compresslevel=9)
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        inflate(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_INFLATED


def test_the_license_is_read_while_the_telemetry_is_not() -> None:
    """Whatever stands in the telemetry, the license part decodes."""
    body = msgspec.json.encode(REQUEST).replace(b'"telemetry":null', b'"telemetry":{"number":"not a number"}')
    raw = msgspec.json.decode(body, type=RawVerifyRequest)
    assert raw.license == PART
    assert bytes(raw.telemetry) == b'{"number":"not a number"}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=VerifyRequest)


def test_every_part_of_a_request_is_signed() -> None:
    """Vendor, install, bytes, moment and nonce: changing one breaks the signature."""
    parts = ("vendor", "install", b"body", "2026-11-25T12:00:00Z", "nonce")
    signature = sign(KEY, request_base(*parts))
    for number in range(len(parts)):
        changed = list(parts)
        changed[number] = parts[number] + (b"x" if isinstance(parts[number], bytes) else "x")  # type: ignore[operator]
        with pytest.raises(SignatureError):
            check(KEY.public_key(), request_base(*changed), signature)  # type: ignore[arg-type]


def test_every_bit_of_an_answer_is_signed() -> None:
    """Exhaustive over the body; status, request and nonce as well: no proxy turns a refusal into a yes."""
    body = b'{"v":1,"license":{"code":"VALID"}}'
    signature = sign(KEY, answer_base(200, "d" * 64, "nonce", body))
    check(KEY.public_key(), answer_base(200, "d" * 64, "nonce", body), signature)
    number = int.from_bytes(body)
    for bit in range(8 * len(body)):
        changed = (number ^ (1 << bit)).to_bytes(len(body))
        with pytest.raises(SignatureError):
            check(KEY.public_key(), answer_base(200, "d" * 64, "nonce", changed), signature)
    for base in (
        answer_base(401, "d" * 64, "nonce", body),
        answer_base(200, "e" * 64, "nonce", body),
        answer_base(200, "d" * 64, "other", body),
    ):
        with pytest.raises(SignatureError):
            check(KEY.public_key(), base, signature)
