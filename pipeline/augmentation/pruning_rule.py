"""Which hyper-parameters Agora gives up after a round, by name.

Published (arXiv 2010.07990; its listing is not at hand, the author's words are): sort Theta by accuracy and delete the
members of the longest common sequence rooted at the first element, compared with the ranking of the iteration before.
Filled in here:

- *Sequence* is a subsequence, not a prefix. Rooted at the first of this round, a common subsequence always has that
  one, so every round from the second on deletes at least one, and n of them are used up after n + 1 rounds at the
  latest. That is the number of iterations in the published cost, n^2 trainings, and in the bound 2 (1 - 2^-n). Common
  prefixes may be empty for ever; that reading is `prefix`, and there only a limit of rounds is sure to end the loop.
- The ranking before is taken without those that were deleted since.
- The first round has nothing to compare with and deletes nothing.
- Of several that are longest the one whose members rank highest now is deleted.

So what is deleted are those whose order the new examples did not change, the best of this round among them; its
candidate is remembered. A rule that compares gives up a single theta after two rounds, which is one round of new
examples: with few of them `keep_all` is the sensible choice.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

# The ranking of a round and that of the round before (none: it was the first), best first -> those to delete.
PruningRule = Callable[[Sequence[int], Sequence[int] | None], Sequence[int]]


def published(ranking: Sequence[int], before: Sequence[int] | None) -> list[int]:
    """Their longest common subsequence that begins with the first of this round.

    Args:
        ranking: of this round, best first.
        before: of the round before, which has these and perhaps others.
    """
    if before is None or not ranking:
        return []
    rank_before = {theta: rank for rank, theta in enumerate(before)}
    behind = [theta for theta in ranking if rank_before[theta] > rank_before[ranking[0]]]
    return [ranking[0], *_longest_rising(behind, rank_before)]


def prefix(ranking: Sequence[int], before: Sequence[int] | None) -> list[int]:
    """Their longest common beginning, which may be empty."""
    if before is None:
        return []
    remaining = [theta for theta in before if theta in set(ranking)]
    pairs = list(zip(ranking, remaining, strict=True))
    num_equal = next((rank for rank, (now, then) in enumerate(pairs) if now != then), len(pairs))
    return list(ranking[:num_equal])


def keep_all(*_: Sequence[int] | None) -> list[int]:
    """None: every theta is trained in every round."""
    return []


def halving(ranking: Sequence[int], _: Sequence[int] | None) -> list[int]:
    """The worse half; one stays. In the first round, too."""
    return list(ranking[(len(ranking) + 1) // 2 :])


RULES: dict[str, PruningRule] = {
    "published": published,
    "prefix": prefix,
    "keep_all": keep_all,
    "halving": halving,
}


def _longest_rising(thetas: Sequence[int], rank_before: dict[int, int]) -> list[int]:
    """The longest subsequence whose ranks before rise; of several the first in the order given.

    From behind, the longest that begins with each one is found by bisection: O(n log n).
    """
    negated: list[int] = []  # by length - 1: minus the greatest rank before that begins one so long
    lengths = []
    for theta in reversed(thetas):
        place = bisect.bisect_left(negated, -rank_before[theta])
        negated[place : place + 1] = [-rank_before[theta]]
        lengths.append(place + 1)
    lengths.reverse()
    chosen: list[int] = []
    for theta, length in zip(thetas, lengths, strict=True):
        missing = max(lengths, default=0) - len(chosen)
        if length == missing and (not chosen or rank_before[theta] > rank_before[chosen[-1]]):
            chosen.append(theta)
    return chosen
