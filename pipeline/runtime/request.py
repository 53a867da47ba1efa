"""What may be asked of a model, whatever runs it: the same mistakes get the same sentences."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pipeline.config.changes import changed
from pipeline.config.errors import UserError
from pipeline.config.sections.task import DecodingConfig

MAX_TOKENS = 1024  # longest answer that may be asked of a model without learned positions
TOO_LONG = ("cut", "refuse")
SHOWN = 10  # numbers of texts in a message
MAX_TEXTS, MAX_CHARACTERS = 10_000, 2_000_000  # of a request by whoever can reach a server; about two seconds of tokens
OF_BEAMS = ("length_penalty", "early_stopping")  # what choosing among several beams heeds

log = logging.getLogger(__name__)


def check_texts(texts: Sequence[Any], second: Sequence[Any] | None, labels: Sequence[str] | None) -> None:
    """Check texts, or pairs of texts.

    Args:
        texts: at least one.
        second: the other text of every pair.
        labels: of a classifier; none of a model that generates.

    Raises:
        UserError: not texts, no Unicode, not as many of both, or pairs for a model that generates.
    """
    _check(texts, "text")
    if second is not None:
        if labels is None:
            raise UserError("pairs of texts for a model that generates", "one text each", "join them, or leave one")
        _check(second, "second text")
        if len(second) != len(texts):
            raise UserError(f"{len(texts)} texts and {len(second)} second texts", "as many of each", "send pairs")


def check_size(texts: Sequence[Any], second: Sequence[Any] | None) -> None:
    """Refuse a request that would keep a server busy for long, whoever sends it.

    Args:
        texts: of one request.
        second: the other text of every pair.

    Raises:
        UserError: too many texts, or too many characters in all.
    """
    if len(texts) > MAX_TEXTS:
        raise UserError(f"{len(texts):,} texts in a request", f"at most {MAX_TEXTS:,}", "send them in several requests")
    num_characters = sum(len(text) for text in [*texts, *(second or ())] if isinstance(text, str))
    if num_characters > MAX_CHARACTERS:
        raise UserError(
            f"{num_characters:,} characters in a request",
            f"at most {MAX_CHARACTERS:,} in all texts together",
            "send them in several requests, or shorten them: what is longer than the model reads is cut anyway",
        )


def requested_decoding(
    usual: DecodingConfig, overrides: dict[str, Any], labels: Sequence[str] | None, positions: int | None
) -> DecodingConfig:
    """A model's usual decoding with what is asked for instead.

    Args:
        usual: that of its evaluation.
        overrides: fields that differ.
        labels: of a classifier; none of a model that generates.
        positions: longest text that the model can generate; none without a limit.

    Raises:
        UserError: settings that do not exist or that the model cannot follow.
    """
    if labels is not None and overrides:
        raise UserError(f"{', '.join(overrides)} for a classifier", "texts alone", "leave out what concerns decoding")
    decoding = changed(usual, overrides, "")
    if decoding == usual:
        return usual
    ignored = [name for name in OF_BEAMS if name in overrides and getattr(decoding, name) != getattr(usual, name)]
    if decoding.num_beams == 1 and ignored:
        log.warning("%s changes nothing: there is one beam", ", ".join(ignored))
    longest = max(positions or MAX_TOKENS, usual.max_length)
    if decoding.max_length > longest:
        raise UserError(f"max_length={decoding.max_length}", f"at most {longest} for this model", "lower max_length")
    if decoding.min_length > decoding.max_length:
        raise UserError(
            f"min_length={decoding.min_length}", f"at most max_length={decoding.max_length}", "lower min_length"
        )
    return decoding


def check_too_long(what: str) -> None:
    """Check what is to become of texts that are too long.

    Raises:
        UserError: neither `cut` nor `refuse`.
    """
    if what not in TOO_LONG:
        raise UserError(f"too_long={what}", ", ".join(TOO_LONG), "choose one of them")


def tell_too_long(cut: Sequence[bool], limit: int, what: str) -> None:
    """Warn of texts that are cut, with their count, or refuse them.

    Args:
        cut: whether each text is too long.
        limit: in tokens.
        what: `cut` or `refuse`.

    Raises:
        UserError: they are refused.
    """
    too_long = [index + 1 for index, is_cut in enumerate(cut) if is_cut]
    if too_long and what == "refuse":
        which = ", ".join(map(str, too_long[:SHOWN])) + (", ..." if len(too_long) > SHOWN else "")
        raise UserError(
            f"{len(too_long)} of {len(cut)} texts are longer than {limit} tokens: {which}",
            f"at most {limit} tokens",
            "shorten them, or let them be cut",
        )
    if too_long:
        log.warning("%d of %d texts are cut to %d tokens", len(too_long), len(cut), limit)


def _check(texts: Sequence[Any], what: str) -> None:
    if isinstance(texts, str) or not hasattr(texts, "__len__"):  # of a text every letter would be one
        raise UserError(f"{what} {_shown(texts)!r} alone", "a list of texts", "put it into a list")
    if len(texts) == 0:
        raise UserError(f"no {what}", "at least one", f"send a {what}")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"{what} {index + 1} is {_shown(text)!r} ({type(text).__name__})", "text", "send a string")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{what} {index + 1} holds half a surrogate pair, which is no character: {text[:40]!r}",
                "Unicode",
                "write the character whole",
            ) from None


def _shown(value: Any) -> str:
    """The beginning of what is no text."""
    try:
        return str(value)[:40]
    except RecursionError:  # lists in lists in lists
        return "..."
