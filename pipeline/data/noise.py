"""What examples go through before a model learns from them, by name; `Objective.noise` says which.

Infilling is the noise of BART's pre-training: spans of tokens become one mask token (BART paper, section 2.2).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Token ids and labels of an example, noised by a source of randomness of its own.
Noise = Callable[[list[int], list[int], random.Random], tuple[list[int], list[int]]]

MASKED_FRACTION = 0.3
MEAN_SPAN_TOKENS = 3.0


def noise_of(name: str | None, tokenizer: PreTrainedTokenizerBase) -> Noise | None:
    """The noise of a name with a tokenizer, which has a mask token; without a name none: examples stay as they are."""
    return None if name is None else NOISES[name](tokenizer)


def infilling(tokenizer: PreTrainedTokenizerBase) -> Noise:
    """Holes in the source; the target stays whole."""
    mask_id = int(tokenizer.mask_token_id)
    return lambda ids, labels, rng: (infill(ids, mask_id, rng), labels)


# Name -> what makes the noise for a tokenizer.
NOISES: dict[str, Callable[[PreTrainedTokenizerBase], Noise]] = {"infilling": infilling}


def infill(ids: list[int], mask_id: int, rng: random.Random) -> list[int]:
    """Replace tokens by masks, in spans whose lengths are Poisson(3) distributed.

    The spans sum up to 30 % of the tokens; some overlap, so that about 27 % are masked.

    Args:
        ids: token ids with a start and an end token, which are kept.
        mask_id: the mask token.
        rng: source of randomness.
    """
    inner = ids[1:-1]
    budget = round(MASKED_FRACTION * len(inner))
    masked = [False] * len(inner)
    starts = set()
    while budget > 0:
        span = min(max(1, _poisson(MEAN_SPAN_TOKENS, rng)), budget)
        start = rng.randrange(len(inner))
        starts.add(start)
        for position in range(start, min(start + span, len(inner))):
            masked[position] = True
        budget -= span
    noised = [ids[0]]
    for position, token in enumerate(inner):
        if not masked[position]:
            noised.append(token)
        elif position in starts and noised[-1] != mask_id:
            noised.append(mask_id)
    return [*noised, ids[-1]]


def _poisson(mean: float, rng: random.Random) -> int:
    """Knuth's method; fine for small means."""
    threshold, product, count = math.exp(-mean), rng.random(), 0
    while product > threshold:
        product *= rng.random()
        count += 1
    return count
