"""Marks: values of every kind that occur nowhere else, so that any piece of one that turns up is a leak."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

PIECE = 6  # characters: a shorter piece tells nothing
KINDS = ("email", "card", "token", "name", "amount", "path", "phone", "ip")

_HIDDEN = re.compile(rb"[0-9a-f]{16,}|[A-Za-z0-9_+/=-]{43,}|(?<!\d)1[78]\d{11}(?!\d)")
"""Hashes, keys, signatures and moments: random text in which six characters of a mark stand by chance."""


@dataclass(frozen=True)
class Mark:
    """One planted value: where, of what kind, as it is written, and the parts of which no piece may survive."""

    place: str
    kind: str
    text: str
    secret: tuple[str, ...]

    def pieces(self) -> Iterator[bytes]:
        """Yield every piece of six characters."""
        for part in self.secret:
            for at in range(len(part) - PIECE + 1):
                yield part[at : at + PIECE].encode()


class Marks:
    """Makes marks, for each ``seed`` the same in every run, and finds what is left of them."""

    def __init__(self, seed: str = "") -> None:
        self._random = random.Random(seed)  # noqa: S311 - not a secret, and the same every time
        self._made: dict[tuple[str, str], Mark] = {}

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._made.values())

    def of(self, place: str, kind: str) -> str:
        """Return the mark of a kind that is planted in a place."""
        if (place, kind) not in self._made:
            text, *secret = getattr(self, f"_{kind}")()
            self._made[place, kind] = Mark(place, kind, text, tuple(secret))
        return self._made[place, kind].text

    def all_of(self, place: str, *, but: tuple[str, ...] = ()) -> dict[str, str]:
        """Return a place's marks by kind."""
        return {kind: self.of(place, kind) for kind in KINDS if kind not in but}

    def found(self, content: bytes, *, but: tuple[tuple[str, str], ...] = ()) -> list[str]:
        """Return which marks are in ``content``, whole or in a piece; ``but`` leaves some places and kinds out."""
        plain = _HIDDEN.sub(b" ", content)
        return [
            f"{mark.kind} planted in {mark.place}"
            for mark in self
            if (mark.place, mark.kind) not in but
            and (mark.text.encode() in content or any(piece in plain for piece in mark.pieces()))
        ]

    def _word(self, length: int = 9) -> str:
        return "".join(
            self._random.choices("bcdfghjkmnpqrstvwxz", k=1) + self._random.choices("aeiouvkzjqxw", k=length)
        )

    def _digits(self, length: int) -> str:
        return "".join(self._random.choices("23456789", k=length))

    def _email(self) -> tuple[str, ...]:
        local, domain = self._word(), self._word()
        return f"{local}@{domain}.com", local, domain

    def _card(self) -> tuple[str, ...]:
        digits = "4" + self._digits(14)
        total = sum(sum(divmod(int(digit) * (2 - at % 2), 10)) for at, digit in enumerate(digits))
        number = f"{digits}{-total % 10}"
        return number, number

    def _token(self) -> tuple[str, ...]:
        secret = "".join(self._random.choices("ABCDEFGHJKLMNPQRSTUVWXYZghijkmnopqrstuvwxyz23456789", k=32))
        return f"sk_live_{secret}", secret

    def _name(self) -> tuple[str, ...]:
        first, last = self._word().capitalize(), self._word().capitalize()
        return f"{first} {last}", first, last

    def _amount(self) -> tuple[str, ...]:
        number = f"{self._digits(2)},{self._digits(3)}.{self._digits(2)}"
        return f"EUR {number}", number

    def _path(self) -> tuple[str, ...]:
        user = self._word()
        return f"/home/{user}/invoices.pdf", user

    def _phone(self) -> tuple[str, ...]:
        number = f"+44 20 7946 0{self._digits(3)}"
        return number, number

    def _ip(self) -> tuple[str, ...]:
        address = f"198.51.{self._random.randint(100, 199)}.{self._random.randint(100, 250)}"
        return address, address
