"""What untrained models are ranked by: scores of one batch, from one forward and one backward pass.

More is better in all of them. None knows how long a model will be trained; RESULTS.md says what they are worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.data.batch import Batch
from pipeline.models.families import family_of
from pipeline.models.forward import position_logits

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCORES = ("initial_loss", "gradient_norm", "synaptic_saliency", "head_confidence", "jacobian_covariance")
MAPS = ("attentions", "encoder_attentions", "decoder_attentions", "cross_attentions")  # as transformers calls them
LEAST_EIGENVALUE = 1e-5  # of examples that are nearly alike

Loss = Callable[[Tensor, Tensor], Tensor]  # of logits and labels, summed over target tokens


def training_free_scores(model: PreTrainedModel, batch: Batch, loss: Loss) -> dict[str, float]:
    """Scores of a model as it is, in evaluation mode; it is not changed.

    Args:
        model: one that shows its attention maps.
        batch: on its device.
        loss: what it would be trained on.

    Returns:
        `initial_loss`: less the mean loss of a target token; `gradient_norm` (Abdelfattah et al. 2021, 3.2);
        `synaptic_saliency`: sum of |weight x gradient| over matrices (Lee et al. 2019); `head_confidence`: mean over
        heads and queries of the largest attention weight (Voita et al. 2019, 4); `jacobian_covariance`: how
        differently the loss depends on the inputs of different examples (Mellor et al. 2021, its first version). What
        is not finite counts as the least number there is.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    was_training = model.training
    model.eval().requires_grad_(True)
    embedded: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    with ExitStack() as hooks:
        for name in family_of(model.config).embeddings:
            hooks.callback(model.get_submodule(name).register_forward_hook(keep).remove)
        output = model(**batch.inputs, output_attentions=True)
        total = loss(position_logits(output), batch.labels) / max(1, batch.num_target_tokens)
        total.backward()  # type: ignore[no-untyped-call]
    maps = [one for name in MAPS for one in getattr(output, name, None) or ()]
    weights = [parameter for parameter in model.parameters() if parameter.grad is not None]
    scores = {
        "initial_loss": -float(total),
        "gradient_norm": float(torch.nn.utils.get_total_norm([weight.grad for weight in weights])),
        "synaptic_saliency": _saliency(weight for weight in weights if weight.dim() > 1),
        "head_confidence": _confidence(maps),
        "jacobian_covariance": _covariance(embedded[0].grad),
    }
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False).train(was_training)
    for parameter in trained:
        parameter.requires_grad_(True)
    return {name: score if math.isfinite(score) else torch.finfo().min for name, score in scores.items()}


@torch.no_grad()
def _saliency(weights: Iterable[Tensor]) -> float:
    return sum(float((weight * weight.grad).abs().sum()) for weight in weights if weight.grad is not None)


def _confidence(maps: Sequence[Tensor]) -> float:
    """Maps: (batch, heads, queries, keys) each."""
    largest = [one.detach().float().amax(dim=-1).mean() for one in maps]
    return float(torch.stack(largest).mean()) if largest else math.nan


def _covariance(gradients: Tensor | None) -> float:
    """Gradients: (batch, tokens, width), of the loss with respect to the embedding's output."""
    if gradients is None or len(gradients) < 2:
        return math.nan
    correlations = torch.corrcoef(gradients.flatten(1).double())
    if not correlations.isfinite().all():  # gradients that are not, or one that is 0
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(correlations) + LEAST_EIGENVALUE
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())
