"""Which words ROUGE counts: a to z and digits, as the package does; or those of all scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import normalize

import regex
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from pipeline.evaluation.scripts import SENTENCE_ENDS, WORDS

LATIN_SENTENCE_ENDS = regex.compile(r"(?<=[.!?])\s+")
# English writes a few foreign letters and stays what the package makes of it; German writes four times as many.
MOST_LOST = 1 / 200


class AllScripts(Tokenizer):  # type: ignore[misc]
    """Words of all scripts, in lower case; those of a to z and digits stemmed by the package, as it does itself."""

    def __init__(self) -> None:
        self.of_package = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """The words of a text; letters that can be written in two ways are equal."""
        if text.isascii():
            return list(self.of_package.tokenize(text))
        words = WORDS.findall(normalize("NFC", text.lower()))
        return [token for word in words for token in (self.of_package.tokenize(word) if word.isascii() else [word])]


@dataclass(frozen=True, kw_only=True)
class RougeWords:
    """How ROUGE reads texts.

    Args:
        signature: what tells its scores from those of other ways.
        tokenizer: the package's interface.
        sentence_ends: where rougeLsum begins a new line.
    """

    signature: str
    tokenizer: Tokenizer
    sentence_ends: regex.Pattern[str]

    def lines(self, text: str) -> str:
        """A sentence a line."""
        return "\n".join(self.sentence_ends.split(text.strip()))


ROUGE_WORDS = {
    "ascii": RougeWords(
        signature="words:a-z0-9|Lsum sentences at .!?",
        tokenizer=DefaultTokenizer(use_stemmer=True),
        sentence_ends=LATIN_SENTENCE_ENDS,
    ),
    "unicode": RougeWords(
        signature="words:unicode, cjk and other unspaced scripts:characters|Lsum sentences at all ends",
        tokenizer=AllScripts(),
        sentence_ends=SENTENCE_ENDS,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What a to z and digits leave out of texts.

    Args:
        letters: the share of the letters, signs and digits of words that are others.
        texts: how many texts have words, but none of a to z and digits.
        wordless: how many have no words at all.
        num: how many there are.
    """

    letters: float
    texts: int
    wordless: int
    num: int


def lost_in_ascii(texts: Sequence[str]) -> Lost:
    """What the package's own words leave out."""
    num_lost = num_letters = num_empty = num_wordless = 0
    for text in texts:
        words = "".join(WORDS.findall(text.lower()))
        kept = sum(1 for letter in words if letter.isascii())
        num_letters, num_lost = num_letters + len(words), num_lost + len(words) - kept
        num_wordless, num_empty = num_wordless + (not words), num_empty + (bool(words) and not kept)
    share = num_lost / max(1, num_letters)
    return Lost(letters=share, texts=num_empty, wordless=num_wordless, num=len(texts))


def fitting_words(texts: Sequence[str]) -> str:
    """The package's own words while they leave next to nothing out; otherwise those of all scripts."""
    lost = lost_in_ascii(texts)
    return "ascii" if max(lost.letters, lost.texts / max(1, lost.num)) <= MOST_LOST else "unicode"
