"""What every setting is held to, whatever it means: numbers that libraries can count with, text that can be written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.config.errors import UserError

# Most of anything that is counted, unless a setting says otherwise: products of two still fit 64 bits.
LARGEST_COUNT = 2**31 - 1
# torch takes seeds below 2**64, and ranks and repetitions are added to the one that is given.
LARGEST_SEED = 2**63 - 1
# Most of what is put into a list, planned or gone through before anything is trained.
MOST_LISTED = 10_000
MOST_THREADS = 1024  # of one process: systems give no many more, and libraries end the process where they get none
MOST_SECONDS = 1e8  # three years; what waits takes no number that is much larger
LARGEST_SIZE = 1 << 20  # of a side of a matrix, a vocabulary, a text that is made up, in tokens
LONGEST_TEXT = 1 << 17  # characters; a command line takes no longer word
# What neither files nor databases take: a NUL, half of a surrogate pair (Python makes it of bytes that are no UTF-8).
UNREADABLE = re.compile("[\0\ud800-\udfff]")
# The same of a path, which a file system takes with any bytes.
UNREADABLE_PATH = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")


def check_bounds(value: Any, low: float | None, high: float | None, key: str, *, is_literal: bool = False) -> None:
    """Refuse a value, or one inside a list or a dictionary, that is out of bounds.

    Args:
        value: plain data.
        low: the least number that the setting takes; none: what the rule above says.
        high: the greatest one.
        key: dotted name, for the message.
        is_literal: whether it may be a path.

    Raises:
        UserError: as said.
    """
    single = list(_leaves(value))
    for text in (one for one in single if isinstance(one, str)):
        _check_text(text, key, UNREADABLE_PATH if is_literal else UNREADABLE)
    numbers = [one for one in single if isinstance(one, (int, float)) and not isinstance(one, bool)]
    if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
        what = "finite numbers" if isinstance(value, list) else "a finite number"
        raise UserError(f"{key}={value}", what, f"set {key} again")
    counts = [number for number in numbers if isinstance(number, int)]
    most = high if high is not None or all(count <= LARGEST_COUNT for count in counts) else LARGEST_COUNT
    least = low if low is not None or all(count >= -LARGEST_COUNT for count in counts) else -LARGEST_COUNT
    if any((least is not None and one < least) or (most is not None and one > most) for one in numbers):
        bounds = ((f"at least {least}", least), (f"at most {most}", most))
        allowed = " and ".join(text for text, bound in bounds if bound is not None)
        raise UserError(f"{key}={value}", allowed, f"set {key} again")


def check_combinations(key: str, axes: Sequence[int]) -> None:
    """Refuse more combinations than can be planned, before they are made.

    Args:
        key: what lists them, for the message.
        axes: how many values each axis has; one without a value counts as one.

    Raises:
        UserError: as said.
    """
    if (number := math.prod(max(1, axis) for axis in axes)) > MOST_LISTED:
        raise UserError(f"{key}: {number:,} combinations", f"at most {MOST_LISTED:,}", "list fewer values")


def _check_text(text: str, key: str, unreadable: re.Pattern[str]) -> None:
    if len(text) > LONGEST_TEXT:
        raise UserError(f"{key} of {len(text):,} characters", f"at most {LONGEST_TEXT:,}", f"shorten {key}")
    if found := unreadable.search(text):
        what = "a NUL character" if found[0] == "\0" else f"half of a surrogate pair (\\u{ord(found[0]):x})"
        raise UserError(f"{key}={text!r} holds {what}", "text that is whole Unicode, in UTF-8", f"write {key} again")


def _leaves(value: Any) -> Iterator[Any]:
    """Everything single inside plain data, names of dictionaries, too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
