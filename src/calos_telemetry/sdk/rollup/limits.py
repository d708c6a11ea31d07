"""How many different names the rollups take; what is more is counted together, as ``(other)``.

Without limits a mistake (a feature named after its user, an exception class made on the fly) would fill the operator's
disk.  A name that was there stays; a new one beyond the limit goes to ``(other)``, and the counter ``overflow`` says how often.
"""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "(other)"

MAX_FEATURES = 1_000
"""Features of an install; the largest products name some hundreds."""

MAX_ERRORS = 5_000
"""Distinct failures of an install: at most 2.7 kB each, so 14 MB."""

MAX_KEYS = 500
"""Keys of one counter on one day: more templates or pairs than a person can look through."""

MAX_SERIES = 2_000
"""Operations of one hour, by metric, method, template and status; a product with 500 routes has some hundreds an hour."""

MAX_SESSION_FEATURES = 20
"""Features of one session that pairs and transitions are made of, by their first use: at most 190 pairs."""


def beyond(arrived: Iterable[str], known: set[str], limit: int) -> set[str]:
    """Return which of the ``arrived`` names no longer fit beside the ``known`` ones."""
    new = sorted(set(arrived) - known - {OTHER})
    return set(new[max(0, limit - len(known - {OTHER})) :])
