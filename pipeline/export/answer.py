"""A package that answers: texts in, texts or labels out, exactly as it was evaluated."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.config.build import changed
from pipeline.config.errors import UserError
from pipeline.config.schema import EvaluationConfig
from pipeline.config.task import DecodingConfig, TaskConfig
from pipeline.data.tokenise import read_tokenizer, tokenised_sources
from pipeline.evaluation.generate import generate_split
from pipeline.evaluation.predict import predict_labels
from pipeline.export.package import load_package
from pipeline.models.families import family_of

CPU = torch.device("cpu")
MAX_TOKENS = 1024  # longest answer that may be asked of a model without learned positions

log = logging.getLogger(__name__)


class Answerer:
    """A packed student, loaded. Threads may share it; they are answered one after the other.

    Args:
        folder: the package.
        batch_tokens: most padded source tokens in a batch.
        device: where it runs.

    Raises:
        UserError: no package, or a damaged one.
    """

    def __init__(
        self,
        folder: Path,
        batch_tokens: int = EvaluationConfig().batch_tokens,
        device: torch.device = CPU,
    ) -> None:
        model, self.info = load_package(folder)
        self.model, self.batch_tokens = model.to(device), batch_tokens
        self.tokenizer, self.lock = read_tokenizer(folder), threading.Lock()
        family, shape = family_of(model.config), model.config
        self.positions = family.num_positions(shape)
        # A label is a number to the model; its names stand in its configuration.
        self.labels = [shape.id2label[i] for i in sorted(shape.id2label)] if family.decoder is None else None
        self.task = TaskConfig(
            source_prefix=self.info.source_prefix,
            source_language=self.info.source_language,
            target_language=self.info.target_language,
            max_source_tokens=self.info.max_source_tokens,
        )

    def answers(self, texts: Sequence[str], second: Sequence[str] | None = None, **overrides: Any) -> list[str]:
        """What the student says to every text: a generated text, or a classifier's label.

        A text that is too long loses its end, with a warning. An empty text is a text: the model decides.

        Args:
            texts: at least one.
            second: the other text of every pair, for a classifier of pairs.
            overrides: fields of `DecodingConfig` that differ from the package's decoding.

        Raises:
            UserError: not texts, or decoding settings that do not exist or that this model cannot follow.
        """
        decoding = self._decoding(overrides)
        _check_texts(texts, "text")
        if second is not None:
            if self.labels is None:
                raise UserError("pairs of texts for a model that generates", "one text each", "join them, or leave one")
            _check_texts(second, "second text")
            if len(second) != len(texts):
                raise UserError(f"{len(texts)} texts and {len(second)} second texts", "as many of each", "send pairs")
        with self.lock:  # neither tokenizers nor a model's generation settings belong to one thread
            return self._answers(list(texts), None if second is None else list(second), decoding)

    def _answers(self, texts: list[str], second: list[str] | None, decoding: DecodingConfig) -> list[str]:
        examples = tokenised_sources(texts, second, self.tokenizer, self.task)
        if num_cut := sum(examples["source_cut"][:]):
            log.warning("%d of %d texts are cut to %d tokens", num_cut, len(texts), self.info.max_source_tokens)
        shares: dict[str, Any] = {"rank": 0, "num_ranks": 1, "gather": lambda part: [part]}
        if self.labels is not None:
            return predict_labels(self.model, examples, self.labels, batch_tokens=self.batch_tokens, **shares)
        # More beams than in the evaluation need no more memory: fewer texts at a time.
        usual = self.info.decoding.num_beams
        shares["batch_tokens"] = self.batch_tokens * usual // max(usual, decoding.num_beams)
        return generate_split(self.model, self.tokenizer, examples, decoding, **shares)

    def _decoding(self, overrides: dict[str, Any]) -> DecodingConfig:
        usual = self.info.decoding
        if self.labels is not None and overrides:
            raise UserError(
                f"{', '.join(overrides)} for a classifier", "texts alone", "leave out what concerns decoding"
            )
        decoding = changed(usual, overrides, "")
        if decoding == usual:
            return usual
        longest = max(self.positions or MAX_TOKENS, usual.max_length)
        if decoding.max_length > longest:
            raise UserError(
                f"max_length={decoding.max_length}", f"at most {longest} for this model", "lower max_length"
            )
        if decoding.min_length > decoding.max_length:
            raise UserError(
                f"min_length={decoding.min_length}", f"at most max_length={decoding.max_length}", "lower min_length"
            )
        return decoding


def _check_texts(texts: Sequence[Any], what: str) -> None:
    if len(texts) == 0:
        raise UserError(f"no {what}", "at least one", f"send a {what}")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(
                f"{what} {index + 1} is {str(text)[:40]!r} ({type(text).__name__})", "text", "send a string"
            )
