"""Optimiser and learning-rate schedule: ours, and those of DQ-BART's released code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from pipeline.config.sections.training import TrainConfig

PUBLISHED = "adamw_as_published"
PUBLISHED_EPSILON = 1e-6
# Parts of names: of BART's norms the second matches none, so they decay.
PUBLISHED_NO_DECAY = ("bias", "LayerNorm.weight")


def make_optimiser(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a training run over a module's trainable parameters.

    Ours or PyTorch's, also under DeepSpeed: DeepSpeed's Adam is compiled on the worker at first use.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if config.optimiser == PUBLISHED:
        return published_adamw(named, config)
    return adamw((p for _, p in named), config)


def adamw(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """PyTorch's AdamW; weight decay on matrices only."""
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim >= 2]
    vectors = [p for p in parameters if p.ndim < 2]
    return torch.optim.AdamW(
        _groups(matrices, vectors, config.weight_decay),
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        fused=True,
    )


def published_adamw(named: Iterable[tuple[str, nn.Parameter]], config: TrainConfig) -> PublishedAdamW:
    """AdamW as DQ-BART's code sets it up: weight decay goes by name.

    What that code does not have (learned scales of quantizers, gates) never decays.
    """
    named = list(named)
    decaying = {
        name for name, _ in named if name.endswith("weight") and not any(part in name for part in PUBLISHED_NO_DECAY)
    }
    groups = _groups(
        [p for name, p in named if name in decaying],
        [p for name, p in named if name not in decaying],
        config.weight_decay,
    )
    return PublishedAdamW(groups, learning_rate=config.learning_rate, betas=(0.9, config.beta2))


class PublishedAdamW(torch.optim.Optimizer):
    """AdamW of transformers 4.17, which DQ-BART's code uses.

    With moments m and v of step t and c = sqrt(1 - beta2^t) / (1 - beta1^t): p <- p - rate c m / (sqrt(v) + epsilon),
    then p <- p - rate decay p. PyTorch adds its epsilon to the corrected sqrt(v), and decays first.

    Args:
        groups: parameters with their `weight_decay`.
        learning_rate: the first one; `lr` of a group is what counts.
        betas: decay of the moments.
    """

    def __init__(self, groups: list[dict[str, Any]], *, learning_rate: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": learning_rate, "betas": betas, "eps": PUBLISHED_EPSILON, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            (beta1, beta2), rate = group["betas"], group["lr"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state |= {"step": 0, "exp_avg": torch.zeros_like(parameter)}
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                mean = state["exp_avg"].mul_(beta1).add_(parameter.grad, alpha=1 - beta1)
                square = state["exp_avg_sq"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                correction = math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
                parameter.addcdiv_(mean, square.sqrt().add_(group["eps"]), value=-rate * correction)
                if group["weight_decay"]:
                    parameter.mul_(1 - rate * group["weight_decay"])


def make_schedule(config: TrainConfig, num_steps: int, peak: float) -> Callable[[int], float]:
    """Learning rate by optimiser step, counted from 0: linear warm-up to `peak`, then linear decay to 0.

    Ours begins with the first part of the warm-up. The published one begins with 0, so that the first step changes
    nothing, and rounds the number of warm-up steps down.
    """
    published = config.optimiser == PUBLISHED
    warmup = config.warmup_fraction * num_steps
    num_warmup, done = (int(warmup), 0) if published else (max(1, round(warmup)), 1)

    def learning_rate(step: int) -> float:
        if step < num_warmup:
            return peak * (step + done) / num_warmup
        return peak * max(0.0, (num_steps - step) / max(1, num_steps - num_warmup))

    return learning_rate


def _groups(decaying: list[nn.Parameter], others: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
