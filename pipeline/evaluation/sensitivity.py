"""How much the loss of a trained model rises when some of its modules lose bits, one group at a time.

Weights are rounded as they are. A model that was trained in full precision does not know the grid: at one and two bits
this says more ill of a module than training on the grid would leave of it, and it ranks modules, not trainings. Losses
of several groups need not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.config.errors import UserError
from pipeline.models.student import prepare_inputs, sharing_copy, sites_of
from pipeline.quantization.fake_quantize import calibration, learns_activations
from pipeline.quantization.one_at_a_time import weights_quantized
from pipeline.quantization.prepare import weight_modules
from pipeline.quantization.scheme import NOT_QUANTIZED, Scheme

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MeanLoss = Callable[["PreTrainedModel"], float]


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What a group of modules does to the loss.

    Args:
        modules: those that were quantized together.
        losses: bits -> mean loss; not finite where the model broke.
        loss_before: with all weights in full precision.
    """

    modules: tuple[str, ...]
    losses: dict[float, float]
    loss_before: float

    @property
    def rises(self) -> dict[float, float]:
        """Bits -> how much the loss rose; 0 at 32 bits."""
        return {bits: loss - self.loss_before for bits, loss in self.losses.items()}


@torch.no_grad()
def sensitivities(
    model: PreTrainedModel,
    scheme: Scheme,
    groups: Sequence[tuple[str, ...]],
    bits: Sequence[float],
    mean_loss: MeanLoss,
    *,
    activations: bool = False,
    on_measured: Callable[[Sensitivity], None] = lambda _: None,
) -> list[Sensitivity]:
    """Mean losses with each group alone at each number of bits. The model itself is not touched.

    Args:
        model: a plain trained model.
        scheme: quantizers and bits of activations; its bits of weights do not matter.
        groups: names of modules that are quantized together (`one_at_a_time`).
        bits: which numbers of bits are tried; 32 costs nothing.
        mean_loss: of a model in evaluation mode, on calibration batches.
        activations: whether those are quantized, too, in all passes. Learned scales of theirs are set to what the last
            calibration batch shows.
        on_measured: told of every group when it is done.

    Raises:
        UserError: a group with a module whose weight the scheme does not quantize.
    """
    sites = sites_of(model)
    known = weight_modules(sites, scheme)
    if unknown := [name for modules in groups for name in modules if name not in known]:
        allowed = f"modules that are quantized, such as {next(iter(known))}"
        raise UserError(f"the sensitivity of {unknown[0]}", allowed, "change the groups of modules")
    other = sharing_copy(model).eval()
    if activations:
        prepare_inputs(other, scheme)
        if learns_activations(other):
            with calibration(other):
                mean_loss(other)
    loss_before, found = mean_loss(other), []
    for modules in groups:
        losses = {}
        for count in bits:
            with weights_quantized(other, sites, scheme, modules, count):
                losses[count] = loss_before if count == NOT_QUANTIZED else mean_loss(other)
        found.append(Sensitivity(modules=modules, losses=losses, loss_before=loss_before))
        on_measured(found[-1])
    return found
