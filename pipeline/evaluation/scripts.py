"""What is a word in the world's scripts: some put no spaces between words, and there a character stands for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import regex

KANA = r"[\p{L}&&[\p{scx=Hiragana}\p{scx=Katakana}]]"
# LB=SA: Thai, Lao, Khmer, Burmese and their relatives; a writer of lines needs a dictionary to break them.
UNSPACED = rf"[\p{{Han}}{KANA}\p{{Bopomofo}}\p{{Yi}}[\p{{L}}&&\p{{LB=SA}}]]"
# Vowel signs and accents belong to the letter before them, and so do the joiners of Persian and of India's scripts.
MARK = r"[\p{M}\u200c\u200d]"
PICTURE = r"[\p{Extended_Pictographic}--[©®™‼⁉]][\p{M}\p{EMod}]*"
EMOJI = rf"(?:\p{{RI}}\p{{RI}}|{PICTURE}(?:\u200d{PICTURE})*)"
WORD = rf"[[\p{{L}}\p{{N}}]--{UNSPACED}]{MARK}*"

WORDS = regex.compile(rf"(?V1){UNSPACED}{MARK}*|(?:{WORD})+|{EMOJI}")
# Punctuation counts with what it stands at, as it does in words between spaces.
UNITS = regex.compile(rf"(?V1){UNSPACED}{MARK}*[^\s\p{{L}}\p{{N}}]*|[[^\s]--{UNSPACED}]+")
# A full stop needs a space behind it, or numbers and abbreviations would end sentences; those of other scripts do not.
CLOSERS = r"[\p{Pe}\p{Pf}\"']"
SENTENCE_ENDS = regex.compile(rf"(?V1)(?<=[.!?])\s+|(?<=[\p{{STerm}}--[.!?]]{CLOSERS}*)(?![\p{{STerm}}{CLOSERS}])\s*")
LETTERS = {
    "all": regex.compile(r"\p{L}"),
    "han": regex.compile(r"(?V1)[\p{L}&&\p{Han}]"),
    "kana": regex.compile(rf"(?V1){KANA}"),
    "hangul": regex.compile(r"\p{Hangul}"),
    "complex": regex.compile(r"(?V1)[\p{L}&&\p{LB=SA}]"),
}


@dataclass(frozen=True, kw_only=True)
class Letters:
    """How many letters of some scripts there are in texts."""

    all: int
    han: int
    kana: int
    hangul: int
    complex: int  # Thai, Lao, Khmer, Burmese and their relatives

    @property
    def share(self) -> float:
        """The part of all letters that belongs to one of these scripts."""
        return (self.han + self.kana + self.hangul + self.complex) / max(1, self.all)


def letters_of(texts: Iterable[str]) -> Letters:
    """The letters of texts."""
    joined = "\n".join(texts)
    return Letters(**{name: sum(1 for _ in pattern.finditer(joined)) for name, pattern in LETTERS.items()})


def num_units(text: str) -> int:
    """The length of a text: what stands between spaces; in scripts without spaces characters."""
    return len(text.split()) if text.isascii() else len(UNITS.findall(text))


def first_units(text: str, num: int) -> str:
    """The beginning of a text, so many units long."""
    if text.isascii():
        return " ".join(text.split()[:num])
    ends = [match.end() for match, _ in zip(UNITS.finditer(text), range(num), strict=False)]
    return " ".join(text[: ends[-1]].split()) if ends else ""
