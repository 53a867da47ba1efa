"""Whether new examples are texts at all: types, control characters, encodings, columns that say one thing only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.check_result import CheckResult, at_least, at_most
from pipeline.retraining.pairs import Pairs

NUL = re.compile("[\0\ud800-\udfff]")  # half a surrogate cannot be written as UTF-8
CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
REPLACEMENT = "\ufffd"


def textual(pairs: Pairs) -> list[int]:
    """The places of the examples whose source and target are texts."""
    both = enumerate(zip(pairs.sources, pairs.targets, strict=True))
    return [index for index, (source, target) in both if isinstance(source, str) and isinstance(target, str)]


def check_types(pairs: Pairs) -> CheckResult:
    """Every source and target must be a text."""
    num_others = len(pairs) - len(textual(pairs))
    sentence = f"{num_others:,} of {len(pairs):,} examples have a source or target that is no text."
    return at_most("types", num_others, 0, sentence)


def check_number(pairs: Pairs, config: DataChecksConfig) -> CheckResult:
    """There must be enough examples for the other checks to tell anything."""
    sentence = f"There are {len(pairs):,} examples; {config.min_examples:,} are needed."
    return at_least("number of examples", len(pairs), config.min_examples, sentence)


def check_characters(texts: Sequence[str], column: str, config: DataChecksConfig) -> list[CheckResult]:
    """Characters that no text has: NUL bytes, control characters, the marks of a wrong encoding.

    Args:
        texts: of one column.
        column: its name, for people.
        config: bounds.
    """
    questions = [
        ("NUL bytes", config.max_nul, lambda text: bool(NUL.search(text))),
        ("control characters", config.max_control_characters, lambda text: bool(CONTROL.search(text))),
        ("encoding", config.max_wrong_encoding, has_wrong_encoding),
    ]
    results = []
    for name, allowed, question in questions:
        share = sum(map(question, texts)) / max(1, len(texts))
        what = "were read in a wrong encoding" if name == "encoding" else f"have {name}"
        results.append(at_most(f"{name} of {column}", share, allowed, f"{share:.2%} of {column} {what}."))
    return results


def has_wrong_encoding(text: str) -> bool:
    """Whether a text has replacement characters, or reads as UTF-8 once it is written as Latin-1 or Windows-1252."""
    if text.isascii():
        return False
    return REPLACEMENT in text or any(_is_utf8_read_as(text, encoding) for encoding in ("latin-1", "cp1252"))


def check_empty(texts: Sequence[str], column: str, config: DataChecksConfig) -> CheckResult:
    """Few texts may be empty."""
    share = sum(not text.strip() for text in texts) / max(1, len(texts))
    return at_most(f"empty {column}", share, config.max_empty, f"{share:.2%} of {column} are empty.")


def check_variety(texts: Sequence[str], column: str, config: DataChecksConfig, *, are_labels: bool) -> CheckResult:
    """A column may not say the same everywhere, or nearly so; labels may, where there are two at least."""
    if are_labels:
        num_labels = len(set(texts))
        return at_least(f"variety of {column}", num_labels, 2, f"There are {num_labels:,} distinct labels.")
    share = max(Counter(texts).values(), default=0) / max(1, len(texts))
    sentence = f"The commonest of {column} makes up {share:.2%} of all."
    return at_most(f"variety of {column}", share, config.max_commonest, sentence)


def _is_utf8_read_as(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding).decode("utf-8")
    except UnicodeError:
        return False
    return True
