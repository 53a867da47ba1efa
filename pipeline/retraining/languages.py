"""Whether texts are still written in the language and alphabet of accepted data, without naming any language."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.check_result import CheckResult, at_least, at_most
from pipeline.retraining.shifts import total_variation, variation_by_chance
from pipeline.retraining.words import known_when_left_out, known_words

MANY_LETTERS = ("CJK", "HANGUL", "YI", "EGYPTIAN", "TANGUT")  # thousands each: their shares would be chance
LEAST_SHARE = 0.001  # of letters: a script below it is a name or a formula, and not expected


def check_language(
    new: Sequence[str], reference: Sequence[str], column: str, config: DataChecksConfig
) -> list[CheckResult]:
    """Three questions, from the coarsest on: scripts, letters, words.

    Args:
        new: texts of one column.
        reference: those accepted before, from which scripts, letters and words are learned.
        column: its name, for people.
        config: bounds.
    """
    letters, others = letters_of(new), letters_of(reference)
    share, shares = known_scripts(letters, others), (by_letter(letters), by_letter(others))
    distance, chance = total_variation(*shares), variation_by_chance(*shares)
    own, known = known_when_left_out(reference), known_words(new, reference)
    least = config.min_known_words * own
    words = f"{known:.2%} of words of {column} were known; accepted data know {own:.2%} of an example of their own."
    return [
        at_least(
            f"scripts of {column}",
            share,
            config.min_known_scripts,
            f"{share:.2%} of letters of {column} belong to scripts that were there before.",
        ),
        at_most(
            f"letters of {column}",
            distance,
            config.max_letter_shift + chance,
            f"Shares of letters of {column}: total variation {distance:.3f}.",
        ),
        at_least(f"words of {column}", known, least, words),
    ]


def letters_of(texts: Sequence[str]) -> Counter[str]:
    """How often every letter occurs, without its case."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(unicodedata.normalize("NFC", text.casefold()))
    return Counter({letter: num for letter, num in counts.items() if letter.isalpha()})


def script_of(letter: str) -> str:
    """The script of a letter by its Unicode name: LATIN, GREEK, CJK; letters without a name have one together."""
    return unicodedata.name(letter, "unnamed").split()[0].split("-")[0]


def known_scripts(letters: Counter[str], others: Counter[str]) -> float:
    """The share of letters whose script makes up at least a thousandth of the others; 1 where there are none."""
    scripts: Counter[str] = Counter()
    for letter, num in others.items():
        scripts[script_of(letter)] += num
    known = {script for script, num in scripts.items() if num >= LEAST_SHARE * scripts.total()}
    num_known = sum(num for letter, num in letters.items() if script_of(letter) in known)
    return num_known / letters.total() if letters else 1.0


def by_letter(letters: Counter[str]) -> Counter[str]:
    """Letters as they are compared: of scripts with thousands of them the script alone."""
    merged: Counter[str] = Counter()
    for letter, num in letters.items():
        script = script_of(letter)
        merged[script if script in MANY_LETTERS else letter] += num
    return merged
