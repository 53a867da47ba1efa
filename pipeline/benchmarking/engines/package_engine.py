"""A package in torch: `generate` as transformers' users call it, or a classifier's forward pass."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.benchmarking.engines.engine import Engine
from pipeline.benchmarking.engines.torch_engine import TorchEngine, classifier
from pipeline.export.package import load_package
from pipeline.models.families import family_of


def load(path: Path, threads: int) -> Engine:
    """A package that runs on so many threads; its matrices are unpacked when they are first used."""
    torch.set_num_threads(threads)
    model, _ = load_package(path)
    return classifier(model) if family_of(model.config).decoder is None else TorchEngine(model)
