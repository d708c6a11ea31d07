"""Latency histograms that can be added up: log-linear integer buckets, 5 bits, relative error at most 1.6 %.

A value of ``n`` significant bits keeps its 6 highest bits: ``b = (e << 5) + (x >> e)`` with ``e = max(0, bits - 6)``.
Only integers are involved, so Python, SQL and every engine agree on each boundary.  Half of a bucket's width, 1/64 of
its lower edge, bounds the error of a percentile read from it.  Source: the log-linear bucketing of HdrHistogram,
measured against sketches in ``docs/decisions/0006-percentiles.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from calos_telemetry.contract.fields import MAX_COUNT

_BITS = 5
_SIGNIFICANT = _BITS + 1

Histogram: TypeAlias = dict[int, int]
"""Bucket number → how many values fell into it."""


def bucket_of(value: int) -> int:
    """Return the bucket of a non-negative integer (a latency in µs); negative values count as 0."""
    value = max(value, 0)
    exponent = max(0, value.bit_length() - _SIGNIFICANT)
    return (exponent << _BITS) + (value >> exponent)


MAX_BUCKET: Final = bucket_of(MAX_COUNT)


def value_of(bucket: int) -> int:
    """Return the middle of a bucket, in the unit of the values that were counted."""
    exponent = max(0, (bucket >> _BITS) - 1)
    low = (bucket - (exponent << _BITS)) << exponent
    return low + (1 << exponent >> 1)


def merge(into: Histogram, other: Mapping[int, int]) -> None:
    """Add the counts of ``other`` to ``into``."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def pack(histogram: Mapping[int, int]) -> list[int]:
    """Return the histogram as it travels: for each bucket in order, its distance from the one before, and its count.

    The distances are small and repeat, so they compress to half of what the bucket numbers do.
    """
    packed: list[int] = []
    before = 0
    for bucket, count in sorted(histogram.items()):
        packed += bucket - before, count
        before = bucket
    return packed


def unpack(packed: Sequence[int]) -> Histogram:
    """Return the histogram that :func:`pack` packed; for each histogram there is one packed form.

    Raises :class:`ValueError` when a bucket repeats, lies beyond ``MAX_BUCKET`` or holds nothing.
    """
    histogram: Histogram = {}
    bucket = 0
    for gap, count in zip(packed[::2], packed[1::2], strict=True):
        bucket += gap
        if count < 1 or gap < bool(histogram) or bucket > MAX_BUCKET:
            raise ValueError(f"bucket {bucket}, {gap} after the one before, with a count of {count}")
        histogram[bucket] = count
    return histogram


def percentile(histogram: Mapping[int, int], share: float) -> int | None:
    """Return the value below which ``share`` (0 to 1) of all counted values lie; ``None`` when nothing was counted.

    Nearest rank (the smallest value whose rank is at least ``share`` of the count), as ``percentile_disc`` in SQL.
    """
    total = sum(histogram.values())
    if not total:
        return None
    rank = max(1, -int(-share * total // 1))
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return value_of(bucket)
    return None
