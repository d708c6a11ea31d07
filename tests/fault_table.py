"""One table at the end of a long run (``make faults``): what was offered, what was done to it, what became of it."""

import os
from dataclasses import asdict, astuple, dataclass
from typing import Any

ROUNDS = int(os.environ.get("CALOS_FAULT_ROUNDS", "10"))
"""How much of everything: 10 in the suite, more in the long run."""
SEED = int(os.environ.get("CALOS_FAULT_SEED", "0"))
"""Where the draws begin: a run that failed names its seed, and a run can go on where another one stopped."""
THOROUGH = ROUNDS > 10

_HEADS = ("events", "kills", "faults", "lost", "twice")


@dataclass
class Row:
    """The figures of one test. ``lost`` and ``twice`` count events; one in hand when its process was killed is neither."""

    events: int = 0
    kills: int = 0
    faults: int = 0
    lost: int = 0
    twice: int = 0


_rows: dict[str, Row] = {}


def row(name: str) -> Row:
    """Return the row of a test, to be added to."""
    return _rows.setdefault(name, Row())


def as_plain() -> dict[str, Any]:
    """Return the rows as plain data, for the process that prints them."""
    return {name: asdict(figures) for name, figures in _rows.items()}


def add(rows: dict[str, dict[str, int]]) -> None:
    """Add the rows of another process of the same run."""
    for name, figures in rows.items():
        mine = row(name)
        for field, figure in figures.items():
            setattr(mine, field, getattr(mine, field) + figure)


def lines() -> list[str]:
    """Return the table as text, with the sums; nothing when no test has a row."""
    if not _rows:
        return []
    width = max(map(len, _rows))
    total = [sum(column) for column in zip(*map(astuple, _rows.values()), strict=True)]
    body = [(name, astuple(figures)) for name, figures in sorted(_rows.items())]
    return [
        f"{'':{width}}" + "".join(f"{head:>14}" for head in _HEADS),
        *(f"{name:{width}}" + "".join(f"{figure:>14,}" for figure in figures) for name, figures in body),
        f"{'in all':{width}}" + "".join(f"{figure:>14,}" for figure in total),
    ]
