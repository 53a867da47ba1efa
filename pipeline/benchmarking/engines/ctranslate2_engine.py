"""CTranslate2, the usual choice for such models on processors. The door to ctranslate2."""

from __future__ import annotations

import json
import time
from pathlib import Path

import ctranslate2
import numpy as np

from pipeline.benchmarking.engines.engine import Array, Engine, Sample
from pipeline.config.errors import UserError


class CTranslate2Engine:
    """A converted model.

    It encodes and decodes in one call, so that the time of the encoder is a difference: what one token takes, less what
    every further one does.

    Args:
        path: folder of the converted model.
        threads: of one batch.
        compute_type: float32 or int8.
        names: of the tokens by number.
    """

    def __init__(self, path: Path, threads: int, compute_type: str, names: list[str]) -> None:
        self.translator = ctranslate2.Translator(
            str(path), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        self.names, self.numbers = names, {name: number for number, name in enumerate(names)}

    def sample(self, source: Array, num_tokens: int) -> Sample:
        """See `Engine.sample`."""
        rows = [[self.names[token] for token in row] for row in source.tolist()]
        one, _ = self._translated(rows, 1)
        whole, tokens = self._translated(rows, num_tokens)
        each = (whole - one) / (num_tokens - 1)
        return Sample(encode_ms=one - each, decode_ms=num_tokens * each, tokens=tokens)

    def _translated(self, rows: list[list[str]], num_tokens: int) -> tuple[float, Array]:
        """Milliseconds and tokens."""
        begin = time.perf_counter()
        results = self.translator.translate_batch(
            rows, beam_size=1, min_decoding_length=num_tokens, max_decoding_length=num_tokens
        )
        took = 1000.0 * (time.perf_counter() - begin)
        return took, np.array([[self.numbers[name] for name in result.hypotheses[0]] for result in results])


def load(path: Path, threads: int, compute_type: str) -> Engine:
    """A converted model in float32 or int8."""
    names = json.loads((path / "shared_vocabulary.json").read_text(encoding="utf-8"))
    return CTranslate2Engine(path, threads, compute_type, names)


def convert(folder: Path, target: Path, quantization: str | None) -> None:
    """Convert a folder made by `save_pretrained`.

    Raises:
        UserError: a model that its converter does not know.
    """
    from ctranslate2.converters import TransformersConverter  # imports torch, whose memory a worker must not hold

    try:
        TransformersConverter(str(folder)).convert(str(target), quantization=quantization, force=True)
    except (ValueError, AttributeError) as error:
        given = f"CTranslate2 cannot convert {folder}: {error}"
        raise UserError(given, "a BART model", "set benchmark.runtime.baselines=false") from error
