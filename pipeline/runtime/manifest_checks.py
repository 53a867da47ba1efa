"""Whether what an exported folder says of itself can be true, before anything in it is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.config.errors import UserError
from pipeline.config.sections.export import VARIANTS
from pipeline.config.sections.sweep import SCHEME_PATTERN
from pipeline.config.sections.task import DecodingConfig
from pipeline.runtime.manifest_file import SHA256

if TYPE_CHECKING:
    from pipeline.runtime.manifest import ExportInfo

MAX_TOKENS = 1 << 24  # more than any vocabulary
MAX_LENGTH = 1 << 16  # tokens of an answer, where no table of positions says how many there may be
MAX_ERROR = 2.0  # of logits, relative: what has nothing to do with each other differs by 1.4
VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,3}")


def check_export(info: ExportInfo) -> None:
    """Refuse what no export has said.

    Raises:
        UserError: the first such entry.
    """
    for name, value, is_so, allowed in _claims(info):
        if not is_so:
            raise UserError(f"{name}={str(value)[:80]}", allowed, "export it again")
    if info.labels is None:
        check_lengths(info.decoding, info.max_positions)


def check_lengths(decoding: DecodingConfig, positions: int | None) -> None:
    """Refuse lengths of answers that a model does not have.

    Args:
        decoding: how it answers.
        positions: the longest text that it can write; none without a limit.

    Raises:
        UserError: they contradict each other, or the positions.
    """
    longest = MAX_LENGTH if positions is None else positions
    for name, value, most in (
        ("max_length", decoding.max_length, longest),
        ("min_length", decoding.min_length, decoding.max_length),
        ("no_repeat_ngram_size", decoding.no_repeat_ngram_size, MAX_LENGTH),
    ):
        if value > most:
            raise UserError(f"decoding.{name}={str(value)[:80]}", f"at most {most}", "export it again")


# As in models/families, which is not there where exports run; a law holds both together.
FAMILIES = ("bart", "bert", "marian", "mbart", "mt5", "pegasus", "roberta", "t5")


def _claims(info: ExportInfo) -> Iterator[tuple[str, Any, bool, str]]:
    """Entry, value, whether it can be, what it could be."""
    yield "variant", info.variant, info.variant in VARIANTS, ", ".join(VARIANTS)
    yield "family", info.family, info.family in FAMILIES, ", ".join(FAMILIES)
    yield "scheme_name", info.scheme_name, SCHEME_PATTERN.fullmatch(info.scheme_name) is not None, "W-E-A such as 8-8-8"
    yield "source", info.source, SHA256.fullmatch(info.source) is not None, "a SHA-256"
    yield "opset", info.opset, 1 <= info.opset <= 1000, "the number of a set of operators"
    yield "onnxruntime", info.onnxruntime, VERSION.fullmatch(info.onnxruntime) is not None, "a release such as 1.28.0"
    positions = info.max_positions
    yield (
        "max_positions",
        positions,
        positions is None or 2 <= positions <= MAX_TOKENS,
        "a number of positions, or none",
    )
    longest = MAX_TOKENS if positions is None else positions
    yield "max_source_tokens", info.max_source_tokens, 2 <= info.max_source_tokens <= longest, f"from 2 to {longest}"
    for name in ("logits_error", "floor"):
        yield f"parity.{name}", (error := getattr(info.parity, name)), 0 <= error <= MAX_ERROR, f"from 0 to {MAX_ERROR}"
    same = info.parity.same_choices
    yield "parity.same_choices", same, 0 <= same <= 1, "a part, from 0 to 1"
    labels = info.labels
    yield "labels", labels, labels is None or (len(labels) == len(set(labels)) > 0), "names, each once, or none"
    yield from _of_tokens(info)
    for name, part in info.parts.items():
        yield f"parts.{name}", part, _is_part(part), "bytes, bits of codes and how it is stored"


def _of_tokens(info: ExportInfo) -> Iterator[tuple[str, Any, bool, str]]:
    tokens, allowed = info.tokens, f"the number of a token, below {MAX_TOKENS}"
    named = {name: getattr(tokens, name) for name in ("pad", "eos", "decoder_start", "forced_first")}
    named |= {f"more_ends[{i}]": token for i, token in enumerate(tokens.more_ends)}
    named |= {f"suppressed[{i}]": token for i, token in enumerate(tokens.suppressed)}
    for name, token in named.items():
        yield f"tokens.{name}", token, token is None or 0 <= token < MAX_TOKENS, allowed
    starts = info.labels is not None or tokens.decoder_start is not None
    yield "tokens.decoder_start", tokens.decoder_start, starts, f"{allowed}, of a model that generates"


def _is_part(part: dict[str, Any]) -> bool:
    size, bits, stored_as = part.get("bytes"), part.get("bits", 8), part.get("stored_as")
    if not {"bytes", "stored_as"} <= set(part) <= {"bytes", "bits", "stored_as"} or not isinstance(stored_as, str):
        return False
    is_size = type(size) is int and 0 <= size < 1 << 50
    return is_size and type(bits) in (int, float) and math.isfinite(bits) and 1 <= bits <= 64
