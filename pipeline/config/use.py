"""Settings of the jobs that take a finished student: exporting it, and letting it answer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.task import DecodingConfig

VARIANTS = ("exact", "fast", "openvino")  # of exported students
AS_TRAINED = "exact"  # the arithmetic that a student was trained and scored with
MODEL = "a student: run id or name, name@alias or name/version of a registered one, models:/..., runs:/..., or a folder"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What jobs/export.py exports."""

    model: str = option("", MODEL)
    format: str = option("onnx", "what is written: graphs for ONNX Runtime", allowed=("onnx",))
    variant: str = option(
        "fast",
        "exact: the arithmetic of training, also for WASM; fast: products of few bits in the decoder; openvino: for it",
        allowed=VARIANTS,
    )
    output: str | None = option(None, "folder that is written; none: exports/<name>-<variant> in the storage folder")
    compress: str = option(
        "none", "zip: also <output>.zip, the same files deflated, to download", allowed=("none", "zip")
    )


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What jobs/generate.py answers, and with what; decoding is that of the evaluation unless told otherwise."""

    model: str = option("", f"{MODEL}, also one that jobs/export.py has written, or its .zip")
    text: str = option(
        "-", "a text, a file (a text a line, or .jsonl with `text` and, of pairs, `text_pair`), or - for stdin"
    )
    second: str | None = option(None, "the other text of a pair, for a classifier of pairs")
    runtime: str = option(
        "auto",
        "torch, onnx (a package is exported as `exact` into the cache first), or auto: what the model is",
        allowed=("auto", "torch", "onnx"),
    )
    output: str | None = option(None, "file that answers are written to, whole or not at all; none: stdout")
    jsonl: bool = option(False, "answers as JSON lines with their texts")
    too_long: str = option(
        "cut", "texts with too many tokens: cut (counted, with a warning) or refuse", allowed=("cut", "refuse")
    )
    threads: int | None = option(None, "threads of one product; none: as many as there are cores", minimum=1)
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
