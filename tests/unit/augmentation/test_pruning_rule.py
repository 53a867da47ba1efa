"""Which thetas a round gives up."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.augmentation.pruning_rule import RULES, halving, keep_all, prefix, published

RANKINGS = st.integers(1, 7).flatmap(lambda num: st.permutations(range(num)))
PAIRS = RANKINGS.flatmap(
    lambda before: st.tuples(
        st.just(before), st.permutations(before).flatmap(lambda now: st.integers(1, len(now)).map(lambda n: now[:n]))
    )
)


def is_common(sequence, ranking):
    """Whether a sequence can be had from a ranking by leaving others out."""
    places = [ranking.index(theta) for theta in sequence]
    return places == sorted(places)


@given(PAIRS)
def test_what_is_published_is_the_longest_common_subsequence_from_the_first(pair):
    """Compared with all subsequences: none that begins with the first is longer; of equal ones it is the first."""
    before, ranking = pair
    deleted = published(ranking, before)
    behind = ranking[1:]
    rooted = [
        [ranking[0], *rest] for length in range(len(behind) + 1) for rest in itertools.combinations(behind, length)
    ]
    longest = max(len(sequence) for sequence in rooted if is_common(sequence, before))
    best = [sequence for sequence in rooted if len(sequence) == longest and is_common(sequence, before)]
    assert deleted == min(best, key=lambda sequence: [ranking.index(theta) for theta in sequence])


@given(PAIRS)
def test_a_common_prefix_is_part_of_a_common_beginning(pair):
    """The rankings agree on what is deleted, and on nothing after it; what is gone since does not count."""
    before, ranking = pair
    remaining = [theta for theta in before if theta in ranking]
    num = len(prefix(ranking, before))
    assert prefix(ranking, before) == ranking[:num] == remaining[:num]
    assert ranking[num : num + 1] != remaining[num : num + 1] or num == len(ranking)


@given(st.lists(st.randoms(use_true_random=False), min_size=9, max_size=9), st.integers(1, 8))
def test_the_published_rule_ends_after_one_round_more_than_there_are_thetas(randoms, num_thetas):
    """Whatever the accuracies are: the first round deletes nothing, every other at least one."""
    ranking, before, num_rounds = list(range(num_thetas)), None, 0
    while ranking:
        randoms[num_rounds].shuffle(ranking)
        deleted = set(published(ranking, before))
        assert bool(deleted) == (before is not None)
        before, ranking = list(ranking), [theta for theta in ranking if theta not in deleted]
        num_rounds += 1
    assert num_rounds <= num_thetas + 1


def test_rankings_by_hand():
    """Equal rankings are all given up; the first alone, where everything else turned round; prefixes may be empty."""
    assert published([2, 0, 1], [2, 0, 1]) == [2, 0, 1] == prefix([2, 0, 1], [2, 0, 1])
    assert published([2, 1, 0], [0, 1, 2]) == [2] and prefix([2, 1, 0], [0, 1, 2]) == []
    assert published([0, 3, 1, 2], [0, 1, 2, 3]) == [0, 1, 2]
    assert published([1, 0, 3, 2], [0, 1, 2, 3]) == [1, 3]


def test_two_thetas_that_take_turns_are_never_given_up_by_prefixes():
    """So only a limit of rounds ends that reading; the published rule gives up the first of them at once."""
    assert prefix([0, 1], [1, 0]) == prefix([1, 0], [0, 1]) == []
    assert published([0, 1], [1, 0]) == [0]


def test_a_first_round_compares_with_nothing():
    """Rules that compare delete nothing; halving needs no comparison, and leaves one."""
    assert [rule([3, 1, 2], None) for rule in (published, prefix, keep_all, halving)] == [[], [], [], [2]]
    assert halving([3], None) == [] and halving([3, 1, 2, 0], [3, 1, 2, 0]) == [2, 0]


def test_nobody_is_left_of_nobody():
    """All failed: every rule has nothing to delete."""
    assert all(rule([], before) == [] for rule in RULES.values() for before in (None, [1, 0]))
