"""Language codes of multilingual tokenizers (mBART): which tokens they add, and with which token decoding starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def usable_languages(tokenizer: PreTrainedTokenizerBase, task: TaskConfig) -> tuple[TaskConfig, bool]:
    """A task whose language codes the tokenizer reads, and whether codes were left out because it has none.

    Raises:
        UserError: a multilingual tokenizer without codes, or with codes that it does not know.
    """
    codes = {"task.source_language": task.source_language, "task.target_language": task.target_language}
    if not hasattr(tokenizer, "src_lang"):
        return replace(task, source_language=None, target_language=None), any(codes.values())
    known = [token for token in tokenizer.all_special_tokens if "_" in token]
    for key, code in codes.items():
        if not code or code not in known:
            raise UserError(f"{key}={code}", f"a language code such as {', '.join(known[:8])}", f"set {key}")
    return task, False


def set_languages(tokenizer: PreTrainedTokenizerBase, task: TaskConfig) -> None:
    """Let a multilingual tokenizer write the task's codes; others stay as they are."""
    if task.source_language:
        tokenizer.src_lang, tokenizer.tgt_lang = task.source_language, task.target_language


def target_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of targets without a code at their end: decoding starts with that one (mBART), so it comes first."""
    ids: list[list[int]] = tokenizer(text_target=texts, truncation=False, verbose=False)["input_ids"]
    code = _target_code(tokenizer)
    return [row[:-1] if code is not None and row[-1] == code else row for row in ids]


def decoding_start(tokenizer: PreTrainedTokenizerBase, task: TaskConfig) -> dict[str, int]:
    """What a model's configuration must say of the first tokens: nothing new where the task has no languages.

    A code that ends targets starts their decoding (mBART); one that begins them follows the usual first token
    (mBART-50). That one has a name of our own: transformers refuses to save generation settings in a configuration.
    """
    if not task.target_language:
        return {}
    set_languages(tokenizer, task)
    code = _target_code(tokenizer)
    assert code is not None
    ends = tokenizer(text_target=["a"])["input_ids"][0][-1] == code
    return {"decoder_start_token_id": code} if ends else {"first_target_token_id": code}


def _target_code(tokenizer: PreTrainedTokenizerBase) -> int | None:
    code = getattr(tokenizer, "tgt_lang", None)
    return None if code is None else int(tokenizer.convert_tokens_to_ids(code))
