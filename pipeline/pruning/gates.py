"""Gates that learn which attention heads to close (Voita et al. 2019).

A gate is one number per head in [0, 1] that multiplies what the head gives to the output linear. Training draws it from
the hard concrete distribution of Louizos, Welling and Kingma 2018, and the expected number of open gates is a penalty:

    s = sigmoid((log u - log(1 - u) + log_alpha) / beta),  u ~ U(0, 1)
    g = clip(s (zeta - gamma) + gamma, 0, 1)
    P(g != 0) = sigmoid(log_alpha - beta log(-gamma / zeta))
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pipeline.pruning.heads import count_heads, head_width, plain_linear, scale_heads
from pipeline.pruning.importance import heads_to_keep
from pipeline.quantization.prepare import Sites

BETA = 0.33
GAMMA, ZETA = -0.1, 1.1
PART = "head_gates"  # what a model calls the gates attached to it


def hard_concrete(log_alpha: Tensor, u: Tensor) -> Tensor:
    """Gates drawn in training.

    Args:
        log_alpha: locations, any shape.
        u: uniform in [0, 1), same shape; 0 closes a gate, with a derivative of 0.
    """
    return _stretch(((u.logit() + log_alpha) / BETA).sigmoid())


def settled(log_alpha: Tensor) -> Tensor:
    """Gates in evaluation: clip(1.2 sigmoid(log_alpha) - 0.1, 0, 1)."""
    return _stretch(log_alpha.sigmoid())


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(g != 0) of gates drawn in training."""
    return (log_alpha - BETA * math.log(-GAMMA / ZETA)).sigmoid()


class AttentionGates(nn.Module):
    """The gates of one attention module.

    Args:
        heads: number of gates.
        width: head width.
        start: first `log_alpha` of every gate.
        pace: `log_alpha` is so many times its parameter (heads,).
    """

    def __init__(self, heads: int, width: int, start: float, pace: float = 1.0) -> None:
        super().__init__()
        self.width, self.pace = width, pace
        self.location = nn.Parameter(torch.full((heads,), start / pace))

    @property
    def log_alpha(self) -> Tensor:
        """Where the gates are, (heads,)."""
        return self.location * self.pace

    def forward(self, x: Tensor | None) -> Tensor:
        """The input of an output linear (batch, positions, heads x width), gated; all of a batch by the same draw.

        Given nothing, the expected number of open gates: under ZeRO-3 a parameter is whole only inside a forward pass.
        """
        if x is None:
            return open_probability(self.log_alpha).sum()
        return scale_heads(x, self._gates().to(x.dtype), self.width)

    def on_input(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Forward pre-hook of an output linear."""
        x, *others = inputs
        return self(x), *others

    def _gates(self) -> Tensor:
        if not self.training:
            return settled(self.log_alpha)
        return hard_concrete(self.log_alpha, torch.rand_like(self.location))


class HeadGates(nn.Module):
    """A gate for every attention head of a model.

    While attached, the gates are a part of the model, `head_gates`: trained, checkpointed, moved and switched between
    training (drawn from torch's global generator) and evaluation (settled) with it. After training:

        kept = gates.kept(); gates.fold(model); remove_heads(model, sites, kept)

    Args:
        model: what they will be attached to.
        sites: its attention modules.
        start: first log_alpha; 2 opens a gate with probability 0.94 and settles it at 0.96.
        pace: how much faster than weights the gates move; Adam moves every parameter by about its learning rate.
    """

    def __init__(self, model: nn.Module, sites: Sites, start: float = 2.0, pace: float = 1.0) -> None:
        super().__init__()
        self.attentions = sites.attentions
        self.of_attention = nn.ModuleList(
            AttentionGates(count_heads(model, site), head_width(model, site), start, pace) for site in sites.attentions
        )
        self.to(next(model.parameters()).device)
        self._handles: list[RemovableHandle] = []

    def attach(self, model: nn.Module) -> None:
        """Let the gates multiply the model's heads from now on."""
        assert not hasattr(model, PART)
        for site, gates in zip(self.attentions, self.of_attention, strict=True):
            assert isinstance(gates, AttentionGates)
            # A bound method: a deep copy of the model has gates of its own.
            self._handles.append(model.get_submodule(site.output).register_forward_pre_hook(gates.on_input))
        model.add_module(PART, self)
        self.train(model.training)

    def detach(self, model: nn.Module) -> None:
        """Leave the model as it was without gates."""
        while self._handles:
            self._handles.pop().remove()
        delattr(model, PART)

    def penalty(self) -> Tensor:
        """Expected number of open gates, differentiable; a scalar."""
        return torch.stack([gates(None) for gates in self.of_attention]).sum()

    def kept(self, keep: float | None = None) -> dict[str, list[int]]:
        """The heads to keep, one per attention module at least, for `removal.remove_heads`.

        Args:
            keep: fraction of all heads, those with the highest log_alpha; None: those whose settled gate is not 0, so
                that after `fold` their removal loses nothing.
        """
        log_alphas = self._log_alphas()
        if keep is not None:
            return heads_to_keep(log_alphas, keep)
        opened = {name: settled(log_alpha).nonzero().flatten().tolist() for name, log_alpha in log_alphas.items()}
        return {name: heads or [int(log_alphas[name].argmax())] for name, heads in opened.items()}

    def fold(self, model: nn.Module) -> None:
        """Detach, and multiply the settled gates into the output linears: evaluation gives what it gave with gates.

        Raises:
            UserError: the output linears are quantized already; nothing has changed.
        """
        linears = [plain_linear(model, site.output) for site in self.attentions]
        self.detach(model)
        for site, linear, log_alpha in zip(self.attentions, linears, self._log_alphas().values(), strict=True):
            with torch.no_grad():
                linear.weight.mul_(settled(log_alpha).repeat_interleave(head_width(model, site)))

    def _log_alphas(self) -> dict[str, Tensor]:
        gates = zip(self.attentions, self.of_attention, strict=True)
        return {site.module: of.log_alpha for site, of in gates if isinstance(of, AttentionGates)}


def _stretch(s: Tensor) -> Tensor:
    return (s * (ZETA - GAMMA) + GAMMA).clamp(0.0, 1.0)
