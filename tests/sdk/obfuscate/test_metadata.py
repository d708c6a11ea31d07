from __future__ import annotations

import collections
import dataclasses
import decimal
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.declarations import Declaration, Declarations, Kind
from calos_telemetry.sdk.obfuscate.metadata import DROPPED, MOST_KEYS, obfuscate_metadata

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "privacy" / "metadata.jsonl"
SECRET = "mallory.hidden@example.com"


def test_mission_example() -> None:
    """A sale keeps how it was paid and whether it worked; the amount is obfuscated."""
    sale = {"amount": 45.99, "currency": "USD", "payment_method": "credit_card", "items": 3, "success": True}

    assert obfuscate_metadata(sale) == {**sale, "amount": "[REDACTED]"}


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ({"status": "OK"}, {"status": "OK"}),
        ({"status": "card_declined"}, {"status": "card_declined"}),
        ({"status": 404}, {"status": 404}),
        ({"status": "called Maria back"}, {"status": "[REDACTED]"}),
        ({"status": "maria"}, {"status": "[REDACTED]"}),
        ({"payment_status": "paid"}, {"payment_status": "paid"}),
        ({"paymentMethod": "Visa"}, {"paymentMethod": "Visa"}),
        ({"method": "POST"}, {"method": "POST"}),
        ({"currency": "eur"}, {"currency": "eur"}),
        ({"currency": "DOLLARS AND CENTS"}, {"currency": "[REDACTED]"}),
        ({"country": "DE"}, {"country": "DE"}),
        ({"plan": "enterprise"}, {"plan": "enterprise"}),
        ({"plan": "Maria's"}, {"plan": "[REDACTED]"}),
        ({"content_type": "application/json"}, {"content_type": "application/json"}),
        ({"duration_ms": 12.5, "durationMs": 7}, {"duration_ms": 12.5, "durationMs": 7}),
        ({"count": 3, "stargazers_count": 4}, {"count": 3, "stargazers_count": 4}),
        ({"count": "three"}, {"count": "[REDACTED]"}),
        ({"price": 5, "total": 5, "total_count": 5}, dict.fromkeys(("price", "total", "total_count"), "[REDACTED]")),
        ({"is_gift": 1, "isGift": "true"}, {"is_gift": 1, "isGift": "true"}),
        ({"is_gift": 7, "is_wrapped": "by Maria"}, {}),
        ({"bluetooth_supported": False}, {"bluetooth_supported": False}),
        ({"status": None}, {"status": None}),
        ({"cart": {"currency": "EUR", "total": 12}}, {"cart.currency": "EUR", "cart.total": "[REDACTED]"}),
        ({"maria lopez": {"success": True}}, {"(other).success": True}),
        ({"items": [{"quantity": 2}, {"quantity": 2}, {"quantity": 5}]}, {"items.quantity": [2, 5]}),
        ({"status": ["ok", "by Maria", "by Eve"]}, {"status": ["ok", "[REDACTED]"]}),
        ({"email": SECRET, "note": "x", "user_id": 5}, {}),
        ({"Maria": True, "maria_lopez": True, SECRET: True, "4111111111111111_count": 1, "status é": "ok"}, {}),
        ({1: "ok", None: 2, ("status",): 3, b"status": "ok"}, {}),
        ("status", {}),
        (None, {}),
        ([{"success": True}], {"(other).success": True}),
    ],
)
def test_what_is_declared_passes_and_nothing_else(given_: object, kept: dict[str, object]) -> None:
    """Closed values, flags and numbers of declared keys pass; other values are replaced, other keys dropped."""
    assert obfuscate_metadata(given_) == kept


def test_a_host_application_declares_its_own() -> None:
    """A key declared by the application takes its closed values in the declared spelling, and no other."""
    declarations = Declarations().with_metadata(
        Declaration(name="table_shape", kind=Kind.CHOICE, purpose="floor plans", values=frozenset({"round", "Square"})),
        Declaration(name="status", kind=Kind.CHOICE, purpose="kitchen", values=frozenset({"simmering"})),
        Declaration(name="tip_count", kind=Kind.COUNT, purpose="how often"),
    )
    value = {"tableShape": "SQUARE", "table_shape": "oval", "status": "ok", "order_status": "ok", "tip_count": 3}

    assert obfuscate_metadata(value, declarations) == {
        "tableShape": "Square",
        "table_shape": "[REDACTED]",
        "status": "[REDACTED]",
        "tip_count": 3,
    }


def test_dropped_keys_are_counted() -> None:
    """What is left out is on the books, by reason."""
    before = DROPPED.copy()
    obfuscate_metadata({"nickname": "x", "hobby": "y", 5: "z", "success": True})

    assert DROPPED - before == {"undeclared": 2, "not_text": 1}


class _Never:
    """An object none of whose methods may ever be called."""

    def _refuse(self, *_: object) -> NoReturn:
        raise AssertionError(SECRET)

    __str__ = __repr__ = __iter__ = __len__ = __bool__ = __getattr__ = __float__ = __index__ = _refuse
    __eq__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class _Text(str):
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __len__(self) -> int:
        raise AssertionError


class _Dict(dict[str, object]):
    def items(self) -> Any:
        raise AssertionError


@dataclasses.dataclass
class _Person:
    email: str = SECRET


def _hostile() -> Iterator[tuple[str, object]]:
    deep: dict[str, object] = {"email": SECRET}
    for _ in range(3000):
        deep = {"child": deep}
    cycle: dict[str, object] = {"status": "ok"}
    cycle["self"] = cycle
    cycle["list"] = [cycle, [cycle]]
    yield "deep", deep
    yield "cycle", cycle
    yield "wide", {f"k{number}": SECRET for number in range(200_000)}
    yield "wide and declared", {f"a{'b' * (n % 50)}_count": n for n in range(10_000)}
    yield "huge text", {"status": SECRET * 200_000, "x" * 5_000_000: 1}
    yield "numbers", {"count": float("nan"), "size": float("inf"), "width": 10**5000, "version": -0.0}
    yield "objects", {"status": _Never(), "count": _Never(), "items": [_Never()], "type": _Text("ok")}
    yield "a text that lies as key", {_Text("status"): "ok"}
    yield "subclass", _Dict(status=SECRET)
    yield "ordered", {"status": collections.OrderedDict(status=SECRET)}
    yield "bytes", {"status": SECRET.encode(), "type": bytearray(SECRET.encode())}
    yield "sets", {"status": {SECRET}, "type": frozenset([SECRET]), "count": (1, SECRET)}
    yield "surrogates", {"status": "\ud800" + SECRET, "\udfff": True}
    yield "control characters", {"status": "\x00" + SECRET, "status\x00": "ok"}
    yield (
        "other types",
        {"status": decimal.Decimal(5), "type": timedelta(5), "mode": _Person(), "level": Ellipsis},
    )
    yield "exception", {"error": ValueError(SECRET)}
    yield "generator", {"status": (secret for secret in [SECRET])}
    yield "not a dictionary", _Never()


HOSTILE = dict(_hostile())


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_objects(name: str) -> None:
    """Foreign methods are never called, the answer is bounded JSON, and the secret is not in it."""
    started = time.perf_counter()
    kept = obfuscate_metadata(HOSTILE[name])
    written = json.dumps(kept, allow_nan=False).encode()

    assert SECRET.encode() not in written
    assert len(kept) <= MOST_KEYS
    assert len(written) < 100_000
    assert time.perf_counter() - started < 5  # a hang, not a slow machine


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_KEYS = st.text() | st.sampled_from(["status", "type", "count", "is_x", "amount", "items", "plan", "a", "level"])


@given(
    st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_KEYS | st.integers(), inner), max_leaves=40)
)
def test_anything_gives_json(value: object) -> None:
    """Whatever it is given, the answer is a dictionary that JSON can write, with ASCII keys."""
    kept = obfuscate_metadata(value)
    json.dumps(kept, allow_nan=False)

    assert all(key.isascii() and len(key) <= 600 for key in kept)


@given(st.dictionaries(_KEYS, st.just(SECRET) | st.lists(st.just(SECRET)), max_size=20))
def test_a_planted_text_never_survives(value: dict[str, object]) -> None:
    """A secret under any key, declared or not, is not in the answer."""
    assert "mallory" not in json.dumps(obfuscate_metadata(value))


@given(st.dictionaries(_KEYS, st.text() | st.booleans() | st.integers(), max_size=10))
def test_what_was_kept_is_kept_again(value: dict[str, object]) -> None:
    """Obfuscating an answer again changes nothing."""
    once = obfuscate_metadata(value)

    assert obfuscate_metadata(once) == once


def test_corpus_targets() -> None:
    """On labelled metadata: at least 95 % of flags, counts and choices are still there under their key."""
    if not CORPUS.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    kept = wanted = 0
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["category"] == "hostile":
            continue
        found: set[tuple[str, str]] = set()
        for name, value in obfuscate_metadata(row["input"]).items():
            found |= {(name.split(".")[-1], repr(one)) for one in (value if isinstance(value, list) else [value])}
        for keep in row["keep"]:
            name = next((part for part in reversed(keep["path"]) if isinstance(part, str)), "")
            kept, wanted = kept + ((name, repr(keep["value"])) in found), wanted + 1

    assert kept / wanted >= 0.95
