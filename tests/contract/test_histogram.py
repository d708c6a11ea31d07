"""Histograms: bounded error, mergeable in any order, the same nearest rank as SQL."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.fields import MAX_COUNT
from calos_telemetry.contract.histogram import MAX_BUCKET, bucket_of, merge, pack, percentile, unpack, value_of

VALUES = st.integers(0, 2**53)


@given(VALUES)
def test_a_bucket_stands_for_its_values_within_its_error(value: int) -> None:
    """The middle of a bucket is within 1/64 of every value in it; small values are exact."""
    assert abs(value_of(bucket_of(value)) - value) <= value / 64
    if value < 64:
        assert value_of(bucket_of(value)) == value


@given(VALUES, VALUES)
def test_buckets_keep_the_order_of_values(one: int, other: int) -> None:
    """A larger value never falls into a lower bucket."""
    assert (bucket_of(one) <= bucket_of(other)) or one > other


def test_buckets_follow_each_other_without_gaps() -> None:
    """Counting up reaches each bucket in turn."""
    buckets = sorted({bucket_of(value) for value in range(100_000)})
    assert buckets == list(range(len(buckets)))


@given(st.integers(max_value=-1))
def test_a_clock_that_ran_backwards_counts_as_zero(value: int) -> None:
    """Negative durations cannot make a negative bucket."""
    assert bucket_of(value) == 0


@given(st.lists(VALUES, max_size=60), st.lists(VALUES, max_size=60))
def test_merging_is_counting_together(one: list[int], other: list[int]) -> None:
    """Two merged histograms are the histogram of all their values, in either order."""
    forth, back = dict(Counter(map(bucket_of, one))), dict(Counter(map(bucket_of, other)))
    whole = dict(Counter(map(bucket_of, one + other)))
    into, from_ = dict(forth), dict(back)
    merge(into, back)
    merge(from_, forth)
    assert into == from_ == whole


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=80), st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_percentile_is_that_of_the_values_within_the_error(values: list[int], share: float) -> None:
    """Nearest rank over buckets differs from nearest rank over values by the bucket's error at most."""
    ordered = sorted(values)
    rank = max(1, -int(-share * len(ordered) // 1))
    exact = ordered[rank - 1]
    found = percentile(Counter(map(bucket_of, values)), share)
    assert found is not None
    assert abs(found - exact) <= exact / 64


def test_nothing_counted_has_no_percentile() -> None:
    """An empty histogram answers with nothing, not with zero."""
    assert percentile({}, 0.5) is None
    assert percentile({3: 0}, 0.5) is None


@given(st.dictionaries(st.integers(0, MAX_BUCKET), st.integers(1, MAX_COUNT)))
def test_what_is_packed_is_unpacked(histogram: dict[int, int]) -> None:
    """No histogram changes on its way, whatever its buckets and counts."""
    assert unpack(pack(histogram)) == histogram


@given(st.lists(st.integers(0, 2_000), max_size=8))
def test_a_histogram_has_one_packed_form(packed: list[int]) -> None:
    """What is unpacked at all is what would be packed: an odd length, a bucket that repeats, an empty bucket and one
    beyond the last are refused."""
    try:
        histogram = unpack(packed)
    except ValueError:
        return
    assert pack(histogram) == packed
    assert max(histogram, default=0) <= MAX_BUCKET


@pytest.mark.parametrize("packed", [[5], [5, 0], [5, 1, 0, 1], [5, -1], [-5, 1], [MAX_BUCKET + 1, 1]])
def test_what_is_no_packed_histogram_is_refused(packed: list[int]) -> None:
    """Each way of being wrong is found."""
    with pytest.raises(ValueError, match=r"bucket|shorter|longer"):
        unpack(packed)
