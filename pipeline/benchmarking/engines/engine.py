"""What a runtime must do to be measured, and which runtimes there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
RUNTIMES = ("torch", "transformers", "onnxruntime", "openvino", "ctranslate2")

# Engine -> module with `load(path, threads, **options)`; a worker imports only its own, so that its memory is its own.
MODULES = {
    "torch": "pipeline.benchmarking.engines.torch_engine",
    "package": "pipeline.benchmarking.engines.package_engine",
    "onnxruntime": "pipeline.benchmarking.engines.ort_engine",
    "openvino": "pipeline.benchmarking.engines.openvino_engine",
    "ctranslate2": "pipeline.benchmarking.engines.ctranslate2_engine",
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One timed generation."""

    encode_ms: float
    decode_ms: float
    tokens: Array  # (rows, new tokens) int64


class Engine(Protocol):
    """A loaded model."""

    def sample(self, source: Array, num_tokens: int) -> Sample:
        """Encode a batch, then decode so many greedy tokens, whatever they are; a classifier decodes none.

        Args:
            source: (rows, source tokens) int64, without padding.
            num_tokens: decoding steps.
        """
        ...


class Graphs(Protocol):
    """An exported model, encoder and one decoding step at a time."""

    def encode(self, source: Array, mask: Array) -> None:
        """Read sources, (rows, source tokens) int64, and forget what was decoded before."""
        ...

    def step(self, tokens: Array) -> Array:
        """The logits (rows, vocabulary) after one more token, (rows, 1) int64."""
        ...


class GreedyEngine:
    """Greedy decoding on graphs.

    Args:
        graphs: the exported model.
        start: the token that decoding starts with.
    """

    def __init__(self, graphs: Graphs, start: int) -> None:
        self.graphs, self.start = graphs, start

    def sample(self, source: Array, num_tokens: int) -> Sample:
        """See `Engine.sample`."""
        begin = time.perf_counter()
        self.graphs.encode(source, np.ones_like(source))
        encoded = time.perf_counter()
        tokens, found = np.full((len(source), 1), self.start, dtype=np.int64), []
        for _ in range(num_tokens):
            tokens = self.graphs.step(tokens).argmax(axis=-1).reshape(-1, 1)
            found.append(tokens)
        end = time.perf_counter()
        return Sample(
            encode_ms=1000.0 * (encoded - begin),
            decode_ms=1000.0 * (end - encoded),
            tokens=np.concatenate(found, axis=1),
        )


class ClassifierEngine:
    """One forward pass.

    Args:
        classify: token ids (rows, source tokens) -> logits (rows, labels).
    """

    def __init__(self, classify: Callable[[Array], Array]) -> None:
        self.classify = classify

    def sample(self, source: Array, num_tokens: int) -> Sample:
        """See `Engine.sample`."""
        begin = time.perf_counter()
        self.classify(source).argmax(axis=-1)
        end = time.perf_counter()
        no_tokens = np.empty((len(source), 0), dtype=np.int64)
        return Sample(encode_ms=1000.0 * (end - begin), decode_ms=0.0, tokens=no_tokens)


def load_engine(engine: str, path: Path, threads: int, options: dict[str, Any]) -> Callable[[], Engine]:
    """Import a runtime; what is returned loads the model, so that only that is timed."""
    module = import_module(MODULES[engine])
    return lambda: module.load(path, threads, **options)


def releases() -> dict[str, str]:
    """The release of every runtime that is installed."""
    return {name: version(name) for name in RUNTIMES if installed(name)}


def installed(engine: str) -> bool:
    """Whether the package of a runtime is there."""
    return find_spec(engine) is not None


def empty_history(shape: Sequence[Any], rows: int) -> tuple[int, ...]:
    """The shape of a decoder's history before its first step: rows first; the one axis without a length has nothing."""
    return (rows, *(size if isinstance(size, int) else 0 for size in shape[1:]))
