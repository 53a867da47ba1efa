"""The tokenizer of a package, tried out before anybody's texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from pipeline.config.errors import UserError, sentence_of
from pipeline.config.sections.task import TaskConfig
from pipeline.data.languages import usable_languages
from pipeline.data.pretrained import read_tokenizer
from pipeline.data.tokenise import tokenised_sources

SAMPLE = ["A text."]
Result = TypeVar("Result")


def package_tokenizer(folder: Path, model_config: PretrainedConfig, task: TaskConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of a package.

    Args:
        folder: the package, whose files were compared with its manifest.
        model_config: of its model.
        task: prefix, languages and limit, as the manifest has them.

    Raises:
        UserError: none that can be read, one of more tokens than the model has, or without the task's languages.
    """
    tokenizer = without_traceback(lambda: read_tokenizer(folder), folder)
    if len(tokenizer) > model_config.vocab_size:
        raise UserError(
            f"{folder}: a tokenizer of {len(tokenizer)} tokens for a model of {model_config.vocab_size}",
            "the tokenizer that the student was trained with",
            "copy or export it again",
        )
    _, ignored = without_traceback(lambda: usable_languages(tokenizer, task), folder)
    if ignored:
        raise UserError(
            f"{folder}: languages {task.source_language} and {task.target_language} for a tokenizer without any",
            "the manifest that was exported",
            "copy or export it again",
        )
    read = without_traceback(lambda: tokenised_sources(SAMPLE, None, tokenizer, task), folder)
    without_traceback(lambda: tokenizer.batch_decode(read["input_ids"][:], skip_special_tokens=True), folder)
    return tokenizer


def without_traceback(call: Callable[[], Result], folder: Path) -> Result:
    """What a tokenizer does; whatever it raises, bare exceptions and panics of its library, is told in one sentence.

    Raises:
        UserError: as said.
    """
    try:
        return call()
    except (UserError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # where the library panics, it is none of Exception
        given = f"the tokenizer of {folder} cannot be used: {type(error).__name__}: {sentence_of(error)}"
        raise UserError(given, "the files that were exported", "export it again") from error
