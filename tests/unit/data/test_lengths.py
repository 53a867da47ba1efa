"""Lengths read as the list of pairs that they stand for, in eight bytes an example."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.batches import BatchPlan
from pipeline.data.lengths import Lengths

PAIRS = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 20)), max_size=60)
FEW = settings(max_examples=50, deadline=None, derandomize=True)


def lengths_of(pairs):
    return Lengths((source for source, _ in pairs), (target for _, target in pairs))


@FEW
@given(PAIRS, st.integers(-70, 70), st.integers(-70, 70))
def test_they_read_as_a_list_of_pairs(pairs, start, stop):
    """Whole, one by one and in part."""
    lengths = lengths_of(pairs)
    assert list(lengths) == pairs and len(lengths) == len(pairs)
    assert [lengths[place] for place in range(-len(pairs), len(pairs))] == pairs * 2
    assert list(lengths[start:stop]) == pairs[start:stop] and isinstance(lengths[start:stop], Lengths)


@FEW
@given(PAIRS.filter(bool), st.integers(1, 3), st.integers(0, 3))
def test_batches_are_those_of_a_list(pairs, num_ranks, epoch):
    """The same examples in the same order, as lists, which data sets are indexed with."""
    options = {"batch_tokens": 120, "micro_batch_tokens": 100, "num_ranks": num_ranks, "seed": 5}
    plans = [BatchPlan(lengths=lengths, **options) for lengths in (pairs, lengths_of(pairs))]
    found, expected = (list(plan.steps(epoch)) for plan in plans)
    assert found == expected
    micro_batches = [micro for step in found for rank in step.micro_batches for micro in rank]
    assert all(isinstance(micro, list) for micro in micro_batches)


def test_an_example_takes_eight_bytes():
    """However many there are: a list of pairs takes ten times as much."""
    lengths = Lengths([500] * 100_000, [75] * 100_000)
    assert lengths.num_bytes == 800_000
    assert sys.getsizeof((500, 75)) + 8 > 7 * 8
