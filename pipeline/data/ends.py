"""Texts end in the model's end token, also where a tokenizer writes none."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from pipeline.config.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def with_ends(tokenizer: PreTrainedTokenizerBase, ends: Collection[int]) -> bool:
    """Let a tokenizer end sources and targets as the model expects, in place and in what it saves.

    Args:
        tokenizer: of a model that reads and writes texts, in the task's languages.
        ends: the model's end tokens; where the tokenizer writes none of them, the first is appended.

    Returns:
        Whether it is appended from now on.

    Raises:
        UserError: a tokenizer that cannot be changed, because it is written in Python or ends texts in another token.
    """
    if writes_ends(tokenizer, ends):
        return False
    end = next(iter(ends))
    token = tokenizer.convert_ids_to_tokens(end)
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    state = {} if backend is None else json.loads(backend.to_str())
    changed = _appended(state.get("post_processor"), token, end) if state and token is not None else None
    if changed is None:
        raise UserError(
            f"{type(tokenizer).__name__}, which does not end texts in the model's end token {end} ({token})",
            "a tokenizer that does, or a tokenizer.json that adds nothing at the end: there it can be appended",
            "set model.tokenizer to the tokenizer that the model was trained with",
        )
    backend.post_processor = Tokenizer.from_str(json.dumps(state | {"post_processor": changed})).post_processor
    if end not in tokenizer.all_special_ids:
        tokenizer.add_special_tokens({"eos_token": token})  # it has its number; answers are written without it
    return True


def writes_ends(tokenizer: PreTrainedTokenizerBase, ends: Collection[int]) -> bool:
    """Whether sources and targets get one of the end tokens, at their end or before a language code."""
    texts = (tokenizer(["a"]), tokenizer(text_target=["a"]))
    return all(any(token in ends for token in text["input_ids"][0]) for text in texts)


def _appended(processor: Any, token: str, number: int) -> dict[str, Any] | None:
    """What a tokenizer does last, as in tokenizer.json, with a token appended; none where that makes no sense."""
    text = {"Sequence": {"id": "A", "type_id": 0}}
    new = {"type": "TemplateProcessing", "single": [text], "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}]}
    steps = [] if processor is None else processor["processors"] if processor["type"] == "Sequence" else [processor]
    if {step["type"] for step in steps} - {"ByteLevel", "TemplateProcessing"}:
        return None
    # Two templates do not follow one another: the second would see the tokens of the first as texts.
    templates = [step for step in steps if step["type"] == "TemplateProcessing"] or [{**new, "special_tokens": {}}]
    if "SpecialToken" in templates[-1]["single"][-1]:
        return None
    piece = {"SpecialToken": {"id": token, "type_id": 0}}
    known = templates[-1]["special_tokens"] | {token: {"id": token, "ids": [number], "tokens": [token]}}
    longer = {kind: [*templates[-1][kind], piece] for kind in ("single", "pair")}
    last = {**templates[-1], **longer, "special_tokens": known}
    others = [step for step in steps if step["type"] == "ByteLevel"]
    return {"type": "Sequence", "processors": [*others, last]} if others else last
