"""A package in torch, one decoding step at a time, in fp32 or, to know what rounding alone does, in fp64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.benchmarking.engines.engine import Array
from pipeline.export.package import load_package


class PackedSteps:
    """See `Graphs`.

    Args:
        folder: the package.
        precision: fp32 or fp64. Codes and scales are the same; in fp64 everything else is computed in double: unpacked
            weights, what the quantizers of activations see, and the grids that they choose.
    """

    def __init__(self, folder: Path, precision: torch.dtype = torch.float32) -> None:
        self.model, _ = load_package(folder)
        self.model.to(precision)
        self.encoded: Any = None
        self.past: Any = None

    @torch.inference_mode()
    def encode(self, source: Array, mask: Array) -> None:
        """See `Graphs.encode`."""
        self.mask, self.past = torch.from_numpy(mask), None
        self.encoded = self.model.get_encoder()(input_ids=torch.from_numpy(source), attention_mask=self.mask)

    @torch.inference_mode()
    def step(self, tokens: Array) -> Array:
        """See `Graphs.step`."""
        output = self.model(
            encoder_outputs=self.encoded,
            attention_mask=self.mask,
            decoder_input_ids=torch.from_numpy(tokens),
            past_key_values=self.past,
            use_cache=True,
        )
        self.past = output.past_key_values
        logits: Array = output.logits[:, -1].numpy()
        return logits
