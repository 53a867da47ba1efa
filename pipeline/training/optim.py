"""Optimiser and learning-rate schedule."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from pipeline.config.schema import TrainConfig


def adamw(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """PyTorch's AdamW; weight decay on matrices only.

    PyTorch's own, also under DeepSpeed: DeepSpeed's Adam is compiled on the worker at first use and needs a compiler.
    """
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim >= 2]
    vectors = [p for p in parameters if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        fused=True,
    )


def linear_schedule(step: int, num_steps: int, warmup_fraction: float, peak: float) -> float:
    """Learning rate of optimiser step `step` (from 0): linear warm-up to `peak`, then linear decay to 0."""
    warmup = max(1, round(num_steps * warmup_fraction))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * max(0.0, (num_steps - step) / max(1, num_steps - warmup))
