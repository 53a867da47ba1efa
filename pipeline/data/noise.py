"""What examples go through before a model learns from them, by name; `Objective.noise` says which.

Infilling is the noise of BART's pre-training: spans of tokens become one mask token (BART paper, section 2.2). That of
BERT's is in `masking`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.config.objectives import MASKING, WORD_MASKING
from pipeline.data.masking import Masking, WordMasking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MASKED_FRACTION = 0.3
MEAN_SPAN_TOKENS = 3.0


class Noise(Protocol):
    """What an example becomes."""

    def num_targets(self, ids: list[int], labels: list[int]) -> int:
        """The most target tokens that the example has however it is noised; batches are planned by them."""
        ...

    def __call__(self, ids: list[int], labels: list[int], rng: random.Random) -> dict[str, list[int]]:
        """The columns of a batch that change, for one example.

        Args:
            ids: its token ids.
            labels: what is to be said.
            rng: a source of randomness of its own.
        """
        ...


def noise_of(name: str | None, tokenizer: PreTrainedTokenizerBase) -> Noise | None:
    """The noise of a name with a tokenizer, which has a mask token; without a name none: examples stay as they are."""
    return None if name is None else NOISES[name](tokenizer)


def noised(rows: Mapping[str, Any], noise: Noise, randoms: Iterable[random.Random]) -> dict[str, Any]:
    """Tokenised examples, column by column, after a noise.

    Args:
        rows: columns `input_ids`, `labels` and others, which stay.
        noise: what they go through.
        randoms: one for each example.
    """
    examples = list(map(noise, rows["input_ids"], rows["labels"], randoms))
    changed = examples[0] if examples else {}
    return {**rows, **{name: [example[name] for example in examples] for name in changed}}


def held_out(rows: Mapping[str, Any], noise: Noise, examples: Iterable[int]) -> dict[str, Any]:
    """`noised`, always in the same way: what an example of a held-out split becomes is decided by its number alone.

    So losses of all models and at all times are those of one and the same question.
    """
    return noised(rows, noise, (random.Random(f"held out:{example}") for example in examples))


@dataclass(frozen=True)
class Infilling:
    """Holes in the source; the target stays whole."""

    mask_id: int

    def num_targets(self, ids: list[int], labels: list[int]) -> int:
        """See `Noise.num_targets`."""
        return len(labels)

    def __call__(self, ids: list[int], labels: list[int], rng: random.Random) -> dict[str, list[int]]:
        """See `Noise`."""
        return {"input_ids": infill(ids, self.mask_id, rng), "labels": labels}


# Name -> what makes the noise for a tokenizer.
NOISES: dict[str, Callable[[PreTrainedTokenizerBase], Noise]] = {
    "infilling": lambda tokenizer: Infilling(int(tokenizer.mask_token_id)),
    MASKING: Masking.of,
    WORD_MASKING: WordMasking.of,
}


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
