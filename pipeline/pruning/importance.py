"""How much a model's loss depends on each attention head (Michel, Levy and Neubig 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pipeline.config.errors import NonFiniteError, UserError
from pipeline.pruning.heads import count_heads, head_width, scale_heads
from pipeline.quantization.prepare import Sites

Examples = TypeVar("Examples")


def head_importance(
    model: nn.Module, sites: Sites, batches: Iterable[Examples], loss_of: Callable[[Examples], Tensor]
) -> dict[str, Tensor]:
    """I_h = E_x |dL(x) / d xi_h| at xi = 1, where xi_h multiplies what head h gives to the output linear.

    The absolute value is taken per example. An example's loss depends on no other example's xi, so one derivative of
    the summed loss gives those of all examples of a batch. Scores have l2 norm 1 within each attention module (0 where
    the loss depends on none of its heads), as published. The model runs in evaluation mode and is left as it was.

    Args:
        model: the model that `loss_of` runs; its parameters may be frozen.
        sites: its attention modules; the first axis of what an output linear is given must be the batch.
        batches: examples, as many at a time as fit; how they are batched changes nothing.
        loss_of: a batch -> the sum (not the mean) of its examples' losses.

    Returns:
        attention module -> float64 scores (heads,) on the CPU, in the order of `sites`.

    Raises:
        UserError: there are no examples.
        NonFiniteError: a score is NaN or infinite.
    """
    sums = {site.module: torch.zeros(count_heads(model, site), dtype=torch.float64) for site in sites.attentions}
    num_batches = 0
    with _evaluating(model), torch.enable_grad():
        for batch in batches:
            num_batches += 1
            with _factors_of_one(model, sites) as factors:
                loss = loss_of(batch)
            for name, slopes in _slopes(loss, factors).items():
                sums[name] += slopes.abs().sum(dim=0).double().cpu()
    if not num_batches:
        raise UserError("head importance without examples", "one batch at least", "give more examples")
    for name, total in sums.items():
        if not total.isfinite().all():
            raise NonFiniteError(f"head importance of {name} is {total.tolist()}")
    # The mean differs from the sum by a factor that the norm takes out.
    return {name: nn.functional.normalize(total, dim=0, eps=1e-300) for name, total in sums.items()}


def heads_to_keep(scores: dict[str, Tensor], keep: float, min_heads: int = 1) -> dict[str, list[int]]:
    """The ceil(keep x all heads) heads with the highest scores over all modules.

    Every module's best `min_heads` are among them, and count; where these alone are more, they are what is kept. Of
    equal scores, the earlier module's and the lower head's stays.

    Args:
        scores: attention module -> (heads,).
        keep: fraction of all heads, in (0, 1].
        min_heads: how many heads every module keeps at least, if it has them.

    Returns:
        attention module -> rising head numbers, for `removal.remove_heads`.

    Raises:
        UserError: `keep` or `min_heads` is out of range.
    """
    if not 0 < keep <= 1:
        raise UserError(f"{keep} of the heads to keep", "a fraction above 0 and at most 1", "change it, e.g. to 0.5")
    if min_heads < 1:
        raise UserError(f"at least {min_heads} heads per attention", "1 or more", "set 1")
    score_of = {(name, head): score for name, of in scores.items() for head, score in enumerate(of.tolist())}
    ranking = sorted(score_of, key=lambda place: -score_of[place])  # stable: ties stay in the order of modules, heads
    firsts = [place for name in scores for place in [p for p in ranking if p[0] == name][:min_heads]]
    rest = [place for place in ranking if place not in firsts]
    kept = [*firsts, *rest][: num_kept(keep, len(ranking), len(firsts))]
    return {name: sorted(head for module, head in kept if module == name) for name in scores}


def num_kept(keep: float, num_heads: int, num_least: int) -> int:
    """How many heads are kept of all attentions together.

    Args:
        keep: fraction of them.
        num_heads: that there are.
        num_least: that stay whatever the fraction is: of every attention some.
    """
    budget = math.ceil(round(keep * num_heads, 9))  # 0.55 of 100 is 55.00000000000001 in floating point
    return max(budget, num_least)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module is in the mode it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _factors_of_one(model: nn.Module, sites: Sites) -> Iterator[dict[str, list[Tensor]]]:
    """Multiply every head of every example by a factor of 1 that can be differentiated.

    Yields:
        attention module -> one tensor of factors (batch, 1, heads) per use of the module, filled by the forward pass.
    """
    factors: dict[str, list[Tensor]] = {site.module: [] for site in sites.attentions}
    handles = [
        model.get_submodule(site.output).register_forward_pre_hook(
            _Multiply(factors[site.module], count_heads(model, site), head_width(model, site))
        )
        for site in sites.attentions
    ]
    try:
        yield factors
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class _Multiply:
    """Forward pre-hook of an output linear: its input times new factors of 1, which `used` remembers."""

    used: list[Tensor]
    heads: int
    width: int

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        self.used.append(x.new_ones(x.size(0), 1, self.heads).requires_grad_())
        return scale_heads(x, self.used[-1], self.width), *others


def _slopes(loss: Tensor, factors: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """Attention module -> derivative of each example's loss by xi, (batch, heads); a module's uses share its xi."""
    uses = [use for of_module in factors.values() for use in of_module]
    slopes = iter(torch.autograd.grad(loss, uses, allow_unused=True, materialize_grads=True))
    return {name: torch.stack([next(slopes) for _ in used]).sum(dim=(0, 2)) for name, used in factors.items() if used}
