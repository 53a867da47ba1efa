"""Whether a teacher finds targets likelier than those of others; it sees a label slipped where words cannot tell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.retraining.check_result import CheckResult, at_least, undecided
from pipeline.retraining.pairs import Pairs

MOST_STEPS = 100  # lines that are looked at for another source
FEWEST = 10  # pairs of a label whose share is more than chance
NAME = "alignment: likelihood"


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """What a teacher says of pairs and of the same sources with the targets of others.

    Args:
        true_nll: negative log-likelihood of every pair's own target, nats a token.
        shuffled_nll: that of another's, as `other_targets` names them; in the same order.
        labels: in classification the pair's own label each; none: targets are texts.
    """

    true_nll: Sequence[float]
    shuffled_nll: Sequence[float]
    labels: Sequence[str] | None = None


def other_targets(pairs: Pairs) -> list[tuple[int, int]]:
    """For every pair the nearest one below it, from the end on from the top, with another target and another source.

    Targets of neighbours are moved so by one line, but where they are equal: there the teacher could not prefer any.

    Returns:
        Places of the pair and of the other; pairs for which none is found are left out.
    """
    total, below = len(pairs), _next_distinct(pairs.targets)
    found = []
    for place in range(total):
        other = below[place]
        for _ in range(MOST_STEPS):
            if other == place:  # around the end: there is none
                break
            if pairs.targets[other] == pairs.targets[place]:
                other = below[other]
            elif pairs.sources[other] == pairs.sources[place]:
                other = (other + 1) % total
            else:
                found.append((place, other))
                break
    return found


def alignment_by_likelihood(
    true_nll: Sequence[float],
    shuffled_nll: Sequence[float],
    min_share: float,
    labels: Sequence[str] | None = None,
) -> CheckResult:
    """The share of pairs whose own target is likelier than another's; half is chance.

    In classification it is the mean of the shares of labels: a teacher that always says the commonest one has half
    then, however common it is. Numbers that are not finite count against the pair, and so do equal ones.

    Args:
        true_nll: of every pair's own target, nats a token.
        shuffled_nll: of another's target for the same source.
        min_share: smallest share, 0 to 1.
        labels: own label of every pair; none: targets are texts.

    Raises:
        UserError: not as many of one as of the others.
    """
    sizes = [len(numbers) for numbers in (true_nll, shuffled_nll, labels if labels is not None else true_nll)]
    if len(set(sizes)) > 1:
        raise UserError(f"likelihoods of {sizes} pairs", "as many true as shuffled ones and labels", "hand in all")
    wins = [math.isfinite(own) and own < other for own, other in zip(true_nll, shuffled_nll, strict=True)]
    groups: dict[str, list[bool]] = defaultdict(list)
    for label, win in zip(labels if labels is not None else [""] * len(wins), wins, strict=True):
        groups[label].append(win)
    shares = [sum(group) / len(group) for group in groups.values() if len(group) >= FEWEST]
    if not shares or (labels is not None and len(shares) < 2):
        return undecided(NAME, f"The likelihoods of {len(wins):,} pairs are too few to tell anything.")
    share = math.fsum(shares) / len(shares)
    what = "share" if labels is None else f"mean share over {len(shares):,} labels"
    sentence = f"Own targets are likelier than others' in {share:.2%} of {len(wins):,} pairs ({what}; half is chance)."
    return at_least(NAME, share, min_share, sentence)


def _next_distinct(targets: Sequence[str]) -> list[int]:
    """For every place that of the next other target, around the end; its own where all are equal."""
    total = len(targets)
    following = list(range(total))
    for place in reversed(range(2 * total - 1)):
        here, below = place % total, (place + 1) % total
        if targets[here] != targets[below]:
            following[here] = below
        elif following[below] != below:
            following[here] = following[below]
    return following
