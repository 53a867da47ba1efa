"""Settings of the job `generate`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation, section
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.export import MODEL
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.config.sections.tracking import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What is answered, and with what; decoding is that of the evaluation unless told otherwise."""

    model: str = option("", f"{MODEL}, also one that jobs/export.py has written, or its .zip", place=0, is_literal=True)
    text: str = option(
        "-",
        "a text, a file (a text a line, or .jsonl with `text` and, of pairs, `text_pair`), or - for stdin",
        place=1,
        is_literal=True,
    )
    second: str | None = option(None, "the other text of a pair, for a classifier of pairs", is_literal=True)
    runtime: str = option(
        "auto",
        "torch, onnx (a package is exported as `exact` into the cache first), or auto: what the model is",
        allowed=("auto", "torch", "onnx"),
    )
    output: str | None = option(
        None, "file that answers are written to, whole or not at all; none: stdout", is_literal=True
    )
    jsonl: bool = option(False, "answers as JSON lines with their texts")
    too_long: str = option(
        "cut", "texts with too many tokens: cut (counted, with a warning) or refuse", allowed=("cut", "refuse")
    )
    threads: int | None = option(
        None, "threads of one product; none: as many as there are cores", minimum=1, maximum=1024
    )
    stream: bool = option(False, "show a text while it grows (onnx, one beam)")
    num_beams: int | None = option(None, "beam width", minimum=1, maximum=64)
    min_length: int | None = option(None, "least tokens generated", minimum=0)
    max_length: int | None = option(None, "most tokens generated, start token included", minimum=2)
    length_penalty: float | None = option(None, "exponent of the length in beam scores", minimum=-10.0, maximum=10.0)
    early_stopping: bool | None = option(None, "beam search stops when num_beams texts are complete")
    no_repeat_ngram_size: int | None = option(None, "forbid repeating n-grams of this size; 0 allows", minimum=0)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("stream", "jsonl", "output")
    def _streams_go_to_the_terminal(self) -> None:
        if self.stream and (self.jsonl or self.output is not None):
            raise UserError("stream=true with jsonl or output", "plain answers on stdout", "leave one of them out")

    @relation("stream", "runtime")
    def _streams_come_from_graphs(self) -> None:
        if self.stream and self.runtime == "torch":
            raise UserError("stream=true with runtime=torch", "runtime=onnx", "set runtime=onnx, or do not stream")

    @relation("stream", "second")
    def _streams_are_of_single_texts(self) -> None:
        if self.stream and self.second is not None:
            raise UserError("stream=true for pairs of texts", "single texts", "leave out stream")

    @property
    def decoding(self) -> dict[str, Any]:
        """What differs from the student's own decoding."""
        given = {setting.name: getattr(self, setting.name) for setting in fields(DecodingConfig)}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class GenerateJob:
    """A student that answers."""

    generate: GenerateConfig = section(GenerateConfig, "what is answered, and with what", is_own=True)
    evaluation: EvaluationConfig = section(EvaluationConfig, "how texts are batched", only=["batch_tokens"])
    storage: StorageConfig = section(StorageConfig, "where results lie")
    tracking: TrackingConfig = section(TrackingConfig, "where runs are recorded", without=["register"])
