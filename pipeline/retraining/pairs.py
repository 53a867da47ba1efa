"""Examples as the checks see them, and what makes two texts the same."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.errors import UserError


@dataclass(frozen=True)
class Pairs:
    """Examples in the order of their file.

    Args:
        sources: what a model reads; the caller joins the two texts of a sentence pair.
        targets: what it should answer; labels in classification.

    Raises:
        UserError: there are more of one than of the other.
    """

    sources: Sequence[str]
    targets: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.targets):
            raise UserError(
                f"{len(self.sources):,} sources with {len(self.targets):,} targets",
                "one target for every source",
                "check the file that they come from",
            )

    def __len__(self) -> int:
        return len(self.sources)

    def at(self, indices: Sequence[int]) -> Pairs:
        """The examples at these places, in this order."""
        return Pairs([self.sources[index] for index in indices], [self.targets[index] for index in indices])


def normalised(text: str) -> str:
    """A text without differences of case, spaces and Unicode forms (NFKC)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def digest_of(*texts: str) -> str:
    """SHA-256 of normalised texts, the same on every machine.

    Returns:
        64 hexadecimal digits.
    """
    written = json.dumps([normalised(text) for text in texts])  # ASCII: half surrogates have a digest, too
    return hashlib.sha256(written.encode()).hexdigest()
