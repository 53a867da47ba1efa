"""What a way to make texts of others must do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.augmentation.examples import TextExample, Texts


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A text that is asked for.

    Args:
        parent: what it shall be near to.
        random: the only source of randomness for it; nothing else draws from it.
    """

    parent: TextExample
    random: random.Random


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """What was made of a parent.

    Args:
        texts: a pair, if the parent is one.
        mixed_with: id of the other parent, where there are two.
    """

    texts: Texts
    mixed_with: str | None = None


class Rewriter(Protocol):
    """A way to make texts of others."""

    @property
    def name(self) -> str:
        """What examples say that they come from."""
        ...

    @property
    def is_random(self) -> bool:
        """Whether asking again can give something else."""
        ...

    def __call__(self, drafts: Sequence[Draft], points: Sequence[TextExample]) -> Sequence[Rewritten | None]:
        """A text for each draft; none where nothing can be made of its parent.

        Args:
            drafts: what is asked for; a parent may occur several times.
            points: all parents, each once.
        """
        ...
