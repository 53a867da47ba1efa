"""Masked language modelling: tokens of a text are hidden, and a model says which they were (BERT, arXiv 1810.04805).

15 % of the tokens that are no special ones are targets; of these 80 % are shown as the mask token, 10 % as another
word, 10 % as they are (section 3.1, task 1). Each example is masked by a source of randomness of its own, so that
masks depend neither on batch mates nor on ranks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.data.batch import IGNORED_LABEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TARGET_FRACTION = 0.15
MASKED, REPLACED = 0.8, 0.1  # of the targets; the rest is shown as it is
# What tokens start with that go on with a word (WordPiece), or that begin one (byte-level BPE, sentencepiece).
GOES_ON, BEGINS_IN_BYTES, BEGINS_IN_PIECES = "##", "\u0120", "\u2581"
MARKS = (GOES_ON, BEGINS_IN_BYTES, BEGINS_IN_PIECES)


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
        return self.shown(ids, labels, sorted(rng.sample(maskable, num_masked(len(maskable)))), rng)

    def shown(
        self, ids: list[int], labels: list[int], positions: list[int], rng: random.Random
    ) -> dict[str, list[int]]:
        """The same with targets at known positions, which rise."""
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


@dataclass(frozen=True, kw_only=True)
class WordMasking:
    """The same with whole words as targets: as many as fit into what single tokens would be (BERT's second release).

    A word that is too long for what is left is passed over. If every word of a text is too long, one of the shortest
    is the target.

    Args:
        of_tokens: which tokens may be targets, how many, and what is shown of one.
        continuing: tokens that go on with the word before them.
    """

    of_tokens: Masking
    continuing: frozenset[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> WordMasking:
        """The masking of texts of a tokenizer, which has a mask token and marks words."""
        return cls(of_tokens=Masking.of(tokenizer), continuing=continuing_tokens(tokenizer))

    def num_targets(self, ids: list[int], labels: list[int]) -> int:
        """See `noise.Noise.num_targets`; the most that there can be."""
        words = self.words_in(ids)
        return max(1, num_masked(sum(map(len, words))), min(map(len, words), default=0))

    def __call__(self, ids: list[int], labels: list[int], rng: random.Random) -> dict[str, list[int]]:
        """See `Masking`."""
        words, positions = self.words_in(ids), list[int]()
        left = num_masked(sum(map(len, words)))
        rng.shuffle(words)
        for word in words:
            if len(word) <= left:
                positions += word
                left -= len(word)
        if words and not positions:
            positions = min(words, key=len)
        return self.of_tokens.shown(ids, labels, sorted(positions), rng)

    def words_in(self, ids: list[int]) -> list[list[int]]:
        """The positions of every word; a special token ends the word before it."""
        words, special = list[list[int]](), self.of_tokens.special
        for position, token in enumerate(ids):
            if token in special:
                continue
            if words and token in self.continuing and words[-1][-1] == position - 1:
                words[-1].append(position)
            else:
                words.append([position])
        return words


def continuing_tokens(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that go on with a word: WordPiece marks them, byte-level BPE and sentencepiece mark the others.

    Raises:
        UserError: no token is marked in any of these ways.
    """
    vocabulary = tokenizer.get_vocab()
    marked = {mark: {number for token, number in vocabulary.items() if token.startswith(mark)} for mark in MARKS}
    mark = max(MARKS, key=lambda one: len(marked[one]))
    if not marked[mark]:
        raise UserError(
            "task.masking=words with a tokenizer that marks neither where words begin nor where they go on",
            f"tokens that start with {', '.join(MARKS)}",
            "set task.masking=tokens, or model.tokenizer",
        )
    return frozenset(marked[mark] if mark == GOES_ON else set(vocabulary.values()) - marked[mark])


def num_masked(num_tokens: int) -> int:
    """Targets of a text of so many tokens that are no special ones: one at least, where there is any."""
    return max(1, round(TARGET_FRACTION * num_tokens)) if num_tokens else 0
