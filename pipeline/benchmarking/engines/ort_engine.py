"""Exported models in ONNX Runtime, run by the runtime that people use."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.benchmarking.engines.engine import Array, Engine, GreedyEngine, Sample
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.model import Model


class OrtGraphs:
    """An exported model; see `Graphs`."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def encode(self, source: Array, mask: Array) -> None:
        """See `Graphs.encode`."""
        lengths = mask.sum(axis=1).tolist()
        self.memory = self.model.read([row[:length].tolist() for row, length in zip(source, lengths, strict=True)])

    def step(self, tokens: Array) -> Array:
        """See `Graphs.step`."""
        logits, self.memory = self.model.step(self.memory, tokens[:, 0])
        return logits


class OrtEncoder:
    """An exported encoder that classifies."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def sample(self, source: Array, num_tokens: int) -> Sample:
        """See `Engine.sample`."""
        rows, begin = source.tolist(), time.perf_counter()
        logits = self.model.classify(rows)
        return Sample(ms={"forward": 1000.0 * (time.perf_counter() - begin)}, answer=logits)


def opened(folder: Path, threads: int) -> OnnxAnswerer:
    """An exported folder on so many threads, without the self-test."""
    return OnnxAnswerer(folder, num_threads=threads, check=False)


def load(path: Path, threads: int) -> Engine:
    """An exported folder that runs on so many threads."""
    answerer = opened(path, threads)
    if answerer.labels is not None:
        return OrtEncoder(answerer.model)
    assert answerer.info.tokens.decoder_start is not None
    return GreedyEngine(OrtGraphs(answerer.model), answerer.info.tokens.decoder_start)
