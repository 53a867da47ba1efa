"""Some words of a text are hidden, and a masked language model puts others in their places."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.rewriter import Draft, Rewritten
from pipeline.augmentation.words import parts_of, texts_of


class Fill(Protocol):
    """Who puts words in the places of masks."""

    @property
    def mask(self) -> str:
        """What stands for a hidden word in a text."""
        ...

    def __call__(self, texts: Sequence[str], seeds: Sequence[int]) -> Sequence[str]:
        """The texts without masks.

        Args:
            texts: each with masks.
            seeds: of each text's own randomness.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SpanRefill:
    """Hides spans of words, one mask a word, and has them filled.

    Args:
        fill: puts words in the places of masks.
        fraction: of all words that is hidden, one at least.
        max_span_words: longest span; their lengths are drawn evenly from 1 to this. Spans may touch.
    """

    fill: Fill
    fraction: float = 0.15
    max_span_words: int = 3
    name: str = "span_refill"
    is_random: bool = True

    def __call__(self, drafts: Sequence[Draft], points: Sequence[TextExample]) -> list[Rewritten | None]:
        """See `Rewriter`. Of texts that hold the mask itself nothing is made."""
        hidden = [self._hidden(draft.parent.texts, draft.random) for draft in drafts]
        masked, seeds = list[str](), list[int]()
        for draft, texts in zip(drafts, hidden, strict=True):
            for text in texts or ():
                if text is not None and self.fill.mask in text:
                    masked.append(text)
                    seeds.append(draft.random.getrandbits(63))
        filled = iter(self.fill(masked, seeds) if masked else ())
        return [None if texts is None else self._filled(texts, filled) for texts in hidden]

    def _hidden(self, texts: Texts, rng: random.Random) -> Texts | None:
        parts = parts_of(texts)
        places = [(part, place) for part, words in enumerate(parts) for place in range(len(words))]
        if not places or any(text and self.fill.mask in text for text in texts):
            return None
        missing, chosen = max(1, round(self.fraction * len(places))), set[tuple[int, int]]()
        while missing > len(chosen):
            part, start = rng.choice(places)
            span = min(rng.randint(1, self.max_span_words), missing - len(chosen), len(parts[part]) - start)
            chosen.update((part, place) for place in range(start, start + span))
        for part, place in chosen:
            parts[part][place] = parts[part][place]._replace(text=self.fill.mask)
        return texts_of(parts)

    def _filled(self, texts: Texts, filled: Iterator[str]) -> Rewritten:
        made = [text if text is None or self.fill.mask not in text else next(filled) for text in texts]
        return Rewritten(texts=Texts(made[0] or "", made[1]))
