"""Exported models in ONNX Runtime, run by the runtime that people use."""

from __future__ import annotations

from pathlib import Path

from pipeline.benchmarking.engines.engine import Array, ClassifierEngine, Engine, GreedyEngine
from pipeline.runtime.answer import OnnxAnswerer


class OrtGraphs:
    """An exported model that generates, open; see `Graphs`."""

    def __init__(self, answerer: OnnxAnswerer) -> None:
        assert answerer.info.tokens.decoder_start is not None
        self.model, self.start = answerer.model, answerer.info.tokens.decoder_start

    def encode(self, source: Array, mask: Array) -> None:
        """See `Graphs.encode`."""
        lengths = mask.sum(axis=1).tolist()
        self.memory = self.model.read([row[:length].tolist() for row, length in zip(source, lengths, strict=True)])

    def step(self, tokens: Array) -> Array:
        """See `Graphs.step`."""
        logits, self.memory = self.model.step(self.memory, tokens[:, 0])
        return logits


def load(path: Path, threads: int) -> Engine:
    """An exported folder that runs on so many threads."""
    answerer = OnnxAnswerer(path, num_threads=threads, check=False)
    if answerer.labels is not None:
        return ClassifierEngine(lambda source: answerer.model.classify(source.tolist()))
    graphs = OrtGraphs(answerer)
    return GreedyEngine(graphs, graphs.start)
