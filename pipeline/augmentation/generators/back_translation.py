"""Texts go into another language and come back in other words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.rewriter import Draft, Rewritten

Translate = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class BackTranslation:
    """Translates texts there and back; every parent has one child at most.

    Args:
        there: translations of texts, one each.
        back: the same into the texts' own language.
    """

    there: Translate
    back: Translate
    name: str = "back_translation"
    is_random: bool = False

    def __call__(self, drafts: Sequence[Draft], points: Sequence[TextExample]) -> list[Rewritten | None]:
        """See `Rewriter`. Each text is translated once; those without words stay as they are."""
        texts = sorted({text for draft in drafts for text in draft.parent.texts if text and text.strip()})
        returned = dict(zip(texts, self.back(self.there(texts)), strict=True)) if texts else {}
        return [self._rewritten(draft.parent.texts, returned) for draft in drafts]

    def _rewritten(self, texts: Texts, returned: dict[str, str]) -> Rewritten | None:
        made = [None if text is None else returned.get(text, text) for text in texts]
        lost = any(text and text.strip() and not (new and new.strip()) for text, new in zip(texts, made, strict=True))
        return None if lost else Rewritten(texts=Texts(made[0] or "", made[1]))
