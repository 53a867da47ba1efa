"""Texts joined to sequences of full length, as models are pre-trained on them (RoBERTa, arXiv 1907.11692, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data.languages import set_languages
from pipeline.data.noise import noise_of
from pipeline.data.spool import spooled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXTS_AT_ONCE = 1000
_IDS, _COUNT = datasets.Sequence(datasets.Value("int32")), datasets.Value("int32")
FEATURES = {
    "source": datasets.Value("string"),
    **dict.fromkeys(("input_ids", "labels"), _IDS),
    **dict.fromkeys(("source_tokens", "target_tokens", "uncut_source_tokens", "uncut_target_tokens"), _COUNT),
    **dict.fromkeys(("source_cut", "target_cut"), datasets.Value("bool")),
}


def packed(
    split: datasets.Dataset, task: TaskConfig, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> datasets.Dataset:
    """The texts of a split as sequences of `task.max_source_tokens`, the last one of what is left; no token is lost.

    Neither the texts nor the sequences are ever in memory together.

    Args:
        split: column `source`, a text a row.
        task: length and noise; the sequences are their own targets.
        tokenizer: frames every sequence as it frames a text, and separates texts within.
        folder: where the sequences lie, without a name.
    """
    return spooled(_sequences(split, task, tokenizer), datasets.Features(FEATURES), folder)


def _sequences(
    split: datasets.Dataset, task: TaskConfig, tokenizer: PreTrainedTokenizerBase
) -> Iterator[dict[str, Any]]:
    set_languages(tokenizer, task)
    noise, (before, after) = noise_of(task.noise, tokenizer), frame_of(tokenizer)
    room = task.max_source_tokens - len(before) - len(after)
    if room < 1:
        raise UserError(
            f"task.max_source_tokens={task.max_source_tokens} with task.packed=true",
            f"at least {len(before) + len(after) + 1}, so that there is room between the tokens that frame a sequence",
            "set task.max_source_tokens",
        )
    for inner in windows(_stream(split, task, tokenizer), room):
        ids = [*before, *inner, *after]
        num_targets = len(ids) if noise is None else noise.num_targets(ids, ids)
        yield {
            "source": tokenizer.decode(inner),
            "input_ids": ids,
            "labels": ids,
            "source_tokens": len(ids),
            "uncut_source_tokens": len(ids),
            "target_tokens": num_targets,
            "uncut_target_tokens": num_targets,
            "source_cut": False,
            "target_cut": False,
        }


def windows(texts: Iterator[list[int]], room: int) -> Iterator[list[int]]:
    """Tokens of texts, one after the other, `room` of them at a time; the last window holds the rest."""
    waiting: list[int] = []
    for ids in texts:
        waiting += ids
        full = len(waiting) - len(waiting) % room
        for start in range(0, full, room):
            yield waiting[start : start + room]
        del waiting[:full]
    if waiting:
        yield waiting


def _stream(split: datasets.Dataset, task: TaskConfig, tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    """The tokens of every text, each but the first behind a separator token."""
    separator, is_first = separator_of(tokenizer), True
    for batch in split.select_columns(["source"]).iter(batch_size=TEXTS_AT_ONCE):
        texts = [task.source_prefix + text for text in batch["source"]]
        for ids in tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]:
            yield ids if is_first else [separator, *ids]
            is_first = False


def separator_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token between two texts.

    Raises:
        UserError: there is none.
    """
    for token in (tokenizer.sep_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError(
        "task.packed=true with a tokenizer that has neither a separator nor an end token",
        "a tokenizer with one of them",
        "set task.packed=false, or model.tokenizer",
    )


def frame_of(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and behind a text."""
    framed, special = tokenizer("a")["input_ids"], set(tokenizer.all_special_ids)
    inside = [place for place, token in enumerate(framed) if token not in special]
    if not inside:  # a letter that it does not know
        half = (len(framed) - 1) // 2
        return framed[:half], framed[half + 1 :]
    return framed[: inside[0]], framed[inside[-1] + 1 :]
