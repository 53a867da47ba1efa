"""Some words of a text change places with others nearby."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.augmentation.examples import TextExample
from pipeline.augmentation.generators.rewriter import Draft, Rewritten
from pipeline.augmentation.words import parts_of, texts_of


@dataclass(frozen=True, kw_only=True)
class WordSwap:
    """Exchanges words; the words of a text stay the same, and those of a pair in their own text.

    Args:
        fraction: of the words that move, two at least. Some may move back.
        reach: how many places away the other word may be.
    """

    fraction: float = 0.15
    reach: int = 3
    name: str = "word_swap"
    is_random: bool = True

    def __call__(self, drafts: Sequence[Draft], points: Sequence[TextExample]) -> list[Rewritten | None]:
        """See `Rewriter`."""
        return [self._rewritten(draft.parent, draft.random) for draft in drafts]

    def _rewritten(self, parent: TextExample, rng: random.Random) -> Rewritten | None:
        parts = parts_of(parent.texts)
        places = [(words, place) for words in parts for place in range(len(words) - 1)]
        if not places:
            return None
        num_words = sum(map(len, parts))
        for _ in range(max(1, round(self.fraction * num_words / 2))):
            words, first = rng.choice(places)
            second = rng.randint(first + 1, min(first + self.reach, len(words) - 1))
            # A space belongs to the place, not to the word: lines stay where they are.
            one, other = words[first], words[second]
            words[first], words[second] = one._replace(text=other.text), other._replace(text=one.text)
        return Rewritten(texts=texts_of(parts))
