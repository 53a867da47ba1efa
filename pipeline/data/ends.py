"""Texts end in the model's end token, also where a tokenizer writes none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tokenizers import processors

from pipeline.config.errors import UserError


def with_ends(tokenizer: Any, ends: Collection[int]) -> bool:
    """Let a tokenizer end sources and targets as the model expects, in place and in what it saves.

    Args:
        tokenizer: of a model that reads and writes texts, in the task's languages.
        ends: the model's end tokens; where the tokenizer writes none of them, the first is appended.

    Returns:
        Whether it is appended from now on.

    Raises:
        UserError: a tokenizer in Python that writes none, which cannot be changed.
    """
    if writes_ends(tokenizer, ends):
        return False
    end = next(iter(ends))
    token = tokenizer.convert_ids_to_tokens(end)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or token is None:
        raise UserError(
            f"{type(tokenizer).__name__}, which does not end texts in token {end} ({token}), the model's end",
            "a tokenizer that does, or one with a tokenizer.json, whose texts get the end token appended",
            "set model.tokenizer to the tokenizer that the model was trained with",
        )
    appended = processors.TemplateProcessing(
        single=f"$A {token}", pair=f"$A {token} $B:1 {token}:1", special_tokens=[(token, end)]
    )
    before = backend.post_processor
    backend.post_processor = appended if before is None else processors.Sequence([before, appended])
    if end not in tokenizer.all_special_ids:
        tokenizer.add_special_tokens({"eos_token": token})  # it has its number; answers are written without it
    return True


def writes_ends(tokenizer: Any, ends: Collection[int]) -> bool:
    """Whether sources and targets get one of the end tokens, at their end or before a language code."""
    texts = (tokenizer(["a"]), tokenizer(text_target=["a"]))
    return all(any(token in ends for token in text["input_ids"][0]) for text in texts)
