"""Which examples are new, and which are held out: the same on every night and machine."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pairs import shuffled, translations

from pipeline.config.errors import UserError
from pipeline.retraining.newest import drawn, newest
from pipeline.retraining.pairs import Pairs

ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=20)


def pairs_of(rows):
    return Pairs([source for source, _ in rows], [target for _, target in rows])


@given(ROWS, ROWS, st.floats(0, 1), st.integers(0, 20), st.randoms(use_true_random=False))
def test_every_example_has_one_place_and_order_decides_nothing(old, rows, share, most, rng):
    """Known, trained on, held out or a repetition; no source on both sides; never more than wanted."""
    known = newest(pairs_of(old), [], 0, 0).digests
    found = newest(pairs_of(rows), known, share, most)
    sides = [{rows[place] for place in places} for places in (found.known, found.training, found.held_out)]
    assert sides[0] == set(old) & set(rows) and sides[1] | sides[2] == set(rows) - set(old)
    assert not sides[1] & sides[2] and not {source for source, _ in sides[1]} & {source for source, _ in sides[2]}
    assert len(found.training) + len(found.held_out) == len(sides[1]) + len(sides[2])
    assert len(found.held_out) <= most
    other = rng.sample(rows, len(rows))
    again = newest(pairs_of(other), known, share, most)
    assert {other[place] for place in again.held_out} == sides[2] and again.digests == found.digests


def test_the_share_is_kept_and_those_that_are_held_out_stay_so():
    """With more examples around, in another order; a larger share holds out more, the same ones among them."""
    pairs = translations(2000)
    few, many = ({pairs.sources[place] for place in newest(pairs, [], share, 2000).held_out} for share in (0.1, 0.3))
    assert few < many and len(few) == pytest.approx(200, rel=0.2) and len(many) == pytest.approx(600, rel=0.2)
    half = shuffled(pairs).at(range(1000))
    assert {half.sources[place] for place in newest(half, [], 0.1, 2000).held_out} == few & set(half.sources)


def test_of_too_many_those_with_the_least_digests_are_held_out():
    """The rest is trained on."""
    pairs = translations(300)
    found = newest(pairs, [], 1.0, 20)
    least = sorted(range(300), key=lambda place: drawn(pairs.sources[place]))[:20]
    assert sorted(found.held_out) == sorted(least) and len(found.training) == 280


def test_how_a_text_is_written_decides_nothing():
    """Neither whether it is new nor where it goes; the number is the same on every machine."""
    known = newest(Pairs(["Is it  open?"], ["Yes"]), [], 0, 0).digests
    assert newest(Pairs(["is it open?"], ["yes "]), known, 0, 0).known == (0,)
    assert drawn("Is it open?") == drawn(" is  IT open?") == pytest.approx(0.5, abs=0.5)
    assert all(0 <= drawn(str(number)) < 1 for number in random.Random(0).sample(range(10**9), 100))


@pytest.mark.parametrize(("share", "most"), [(-0.1, 1), (1.1, 1), (0.5, -1), (float("nan"), 1)])
def test_shares_that_are_none_are_refused(share, most):
    """And negative numbers."""
    with pytest.raises(UserError):
        newest(Pairs(["a"], ["b"]), [], share, most)
