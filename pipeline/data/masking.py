"""Masked language modelling: tokens of a text are hidden, and a model says which they were (BERT, arXiv 1810.04805).

15 % of the tokens that are no special ones are targets; of these 80 % are shown as the mask token, 10 % as another
word, 10 % as they are (section 3.1, task 1). Each example is masked by a source of randomness of its own, so that
masks depend neither on batch mates nor on ranks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.batch import IGNORED_LABEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TARGET_FRACTION = 0.15
MASKED, REPLACED = 0.8, 0.1  # of the targets; the rest is shown as it is


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Targets in a text, and what is shown in their places.

    Args:
        mask_id: the mask token.
        special: tokens that are never targets: those that frame and fill texts, unknown words, masks.
        words: what may be shown instead of a target; none of them is special.
    """

    mask_id: int
    special: frozenset[int]
    words: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Masking:
        """The masking of texts of a tokenizer, which has a mask token."""
        special = frozenset(tokenizer.all_special_ids)
        words = tuple(sorted(set(tokenizer.get_vocab().values()) - special))
        return cls(mask_id=int(tokenizer.mask_token_id), special=special, words=words)

    def num_targets(self, ids: list[int], labels: list[int]) -> int:
        """See `noise.Noise.num_targets`; a text of special tokens alone has one place that counts nothing."""
        return max(1, num_masked(len(self._maskable(ids))))

    def __call__(self, ids: list[int], labels: list[int], rng: random.Random) -> dict[str, list[int]]:
        """See `noise.Noise`: `labels` are the targets alone, `target_positions` their places among the tokens."""
        maskable = self._maskable(ids)
        positions = sorted(rng.sample(maskable, num_masked(len(maskable))))
        shown = list(ids)
        for position in positions:
            drawn = rng.random()
            if drawn < MASKED:
                shown[position] = self.mask_id
            elif drawn < MASKED + REPLACED:
                shown[position] = rng.choice(self.words)
        targets = [labels[position] for position in positions]
        return {
            "input_ids": shown,
            "labels": targets or [IGNORED_LABEL],
            "target_positions": positions or [0],
        }

    def _maskable(self, ids: list[int]) -> list[int]:
        return [position for position, token in enumerate(ids) if token not in self.special]


def num_masked(num_tokens: int) -> int:
    """Targets of a text of so many tokens that are no special ones: one at least, where there is any."""
    return max(1, round(TARGET_FRACTION * num_tokens)) if num_tokens else 0
