"""Some words of a text are left out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.augmentation.examples import TextExample
from pipeline.augmentation.generators.rewriter import Draft, Rewritten
from pipeline.augmentation.words import parts_of, texts_of


@dataclass(frozen=True, kw_only=True)
class WordDropout:
    """Leaves out some words; every text that has words keeps one.

    Args:
        fraction: of the words that is left out, one at least.
    """

    fraction: float = 0.15
    name: str = "word_dropout"
    is_random: bool = True

    def __call__(self, drafts: Sequence[Draft], points: Sequence[TextExample]) -> list[Rewritten | None]:
        """See `Rewriter`."""
        return [self._rewritten(draft.parent, draft.random) for draft in drafts]

    def _rewritten(self, parent: TextExample, rng: random.Random) -> Rewritten | None:
        parts = parts_of(parent.texts)
        staying = {(part, rng.randrange(len(words))) for part, words in enumerate(parts) if words}
        places = [(part, place) for part, words in enumerate(parts) for place in range(len(words))]
        leaving = [place for place in places if place not in staying]
        if not leaving:
            return None
        num_dropped = min(len(leaving), max(1, round(self.fraction * len(places))))
        dropped = set(rng.sample(leaving, num_dropped))
        left = [
            [word for place, word in enumerate(words) if (part, place) not in dropped]
            for part, words in enumerate(parts)
        ]
        return Rewritten(texts=texts_of(left))
