"""A package that answers: texts in, texts or labels out, exactly as it was evaluated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.task import DecodingConfig, TaskConfig
from pipeline.data.batches import generation_batches
from pipeline.data.tokenise import tokenised_sources
from pipeline.evaluation.generate import generate_split
from pipeline.evaluation.predict import predict_labels
from pipeline.export.package import load_package
from pipeline.export.package_tokenizer import package_tokenizer, without_traceback
from pipeline.models.families import family_of
from pipeline.runtime.request import check_texts, check_too_long, requested_decoding, tell_too_long

CPU = torch.device("cpu")


class Answerer:
    """A packed student, loaded. Threads may share it; they are answered one after the other.

    Args:
        folder: the package.
        batch_tokens: most padded source tokens in a batch.
        device: where it runs.
        too_long: a text that is too long is `cut`, with a warning that counts, or all texts are refused.

    Raises:
        UserError: no package, or a damaged one.
    """

    def __init__(
        self,
        folder: Path,
        batch_tokens: int = EvaluationConfig().batch_tokens,
        device: torch.device = CPU,
        too_long: str = "cut",
    ) -> None:
        check_too_long(too_long)
        self.too_long = too_long
        model, self.info = load_package(folder)
        self.model, self.batch_tokens = model.to(device), batch_tokens
        self.lock = threading.Lock()
        family, model_config = family_of(model.config), model.config
        self.positions = family.num_positions(model_config)
        # A label is a number to the model; its names stand in its configuration.
        self.labels = (
            [model_config.id2label[i] for i in sorted(model_config.id2label)] if family.decoder is None else None
        )
        self.task = TaskConfig(
            source_prefix=self.info.source_prefix,
            source_language=self.info.source_language,
            target_language=self.info.target_language,
            max_source_tokens=self.info.max_source_tokens,
        )
        self.folder, self.tokenizer = folder, package_tokenizer(folder, model_config, self.task)

    def answers(
        self,
        texts: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        on_batch: Callable[[int], None] = lambda _: None,
        **overrides: Any,
    ) -> list[str]:
        """What the student says to every text; arguments and errors as of `runtime.answer.OnnxAnswerer.answers`."""
        decoding = requested_decoding(self.info.decoding, overrides, self.labels, self.positions)
        check_texts(texts, second, self.labels)
        with self.lock:  # neither tokenizers nor a model's generation settings belong to one thread
            return self._answers(list(texts), None if second is None else list(second), decoding, on_batch)

    def _answers(
        self, texts: list[str], second: list[str] | None, decoding: DecodingConfig, on_batch: Callable[[int], None]
    ) -> list[str]:
        examples = without_traceback(lambda: tokenised_sources(texts, second, self.tokenizer, self.task), self.folder)
        tell_too_long(examples["source_cut"][:], self.info.max_source_tokens, self.too_long)
        shares: dict[str, Any] = {"rank": 0, "num_ranks": 1, "gather": lambda part: [part]}
        if self.labels is not None:
            shares |= {"batch_tokens": self.batch_tokens, "on_batch": on_batch}
            return predict_labels(self.model, examples, self.labels, **shares)
        # More beams than in the evaluation need no more memory: fewer texts at a time.
        usual = self.info.decoding.num_beams
        batch_tokens = self.batch_tokens * usual // max(usual, decoding.num_beams)
        [batches] = generation_batches(examples["source_tokens"][:], batch_tokens, 1)
        shares |= {"batch_tokens": batch_tokens, "on_batch": lambda done, _: on_batch(len(batches[done - 1]))}
        return generate_split(self.model, self.tokenizer, examples, decoding, **shares)
