"""Examples of text, and where those that were generated come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Texts(NamedTuple):
    """What a model reads: a text, or a pair.

    Args:
        source: the text, or the first of a pair.
        second: the second of a pair.
    """

    source: str
    second: str | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a generated example comes from; it can be read without any other example at hand.

    Args:
        generator: name of what made it.
        round_number: in which round, from 1.
        parent_id: whom it was made from.
        parent_source: the parent's text.
        parent_second: the second text of the parent, where it is a pair.
        parent_target: what the parent's answer is.
        mixed_with: id of the other parent, where there are two.
    """

    generator: str
    round_number: int
    parent_id: str
    parent_source: str
    parent_second: str | None = None
    parent_target: str | None = None
    mixed_with: str | None = None

    @property
    def parent_texts(self) -> Texts:
        """What a model would read of the parent."""
        return Texts(self.parent_source, self.parent_second)


@dataclass(frozen=True, kw_only=True)
class TextExample:
    """An example of text.

    Args:
        source: the text, or the first of a pair.
        second: the second of a pair.
        target: name of its label, or the reference; none: nobody has said yet.
        origin: where it comes from, if it was generated.
    """

    source: str
    second: str | None = None
    target: str | None = None
    origin: Origin | None = None

    @property
    def texts(self) -> Texts:
        """What a model reads."""
        return Texts(self.source, self.second)

    @cached_property
    def id(self) -> str:
        """See `id_of`."""
        return id_of(self.texts)


def id_of(texts: Texts) -> str:
    """A name that depends on the texts alone; how much space stands where there is some makes no difference.

    Returns:
        32 hexadecimal digits.
    """
    squeezed = ascii([" ".join(text.split()) for text in texts if text is not None])
    return hashlib.sha256(squeezed.encode()).hexdigest()[:32]
