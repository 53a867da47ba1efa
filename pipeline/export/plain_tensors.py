"""What a package stores of a model as it is, beside packed weights."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor
from transformers import PreTrainedModel

from pipeline.models.families import family_of

LOGITS_BIAS = "final_logits_bias"  # BART's; all zero, as in a new model, it is left out


def plain_tensors(model: PreTrainedModel, packed: Collection[str]) -> dict[str, Tensor]:
    """Tensors that are not packed, each once, where they lie.

    Args:
        model: a packed model, or one without memory, of which nobody knows what it would leave out.
        packed: names of its packed modules.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[tuple[int, int]] = set()
    inside = tuple(f"{name}.packed." for name in packed)
    computed = family_of(model.config).computed
    for name, tensor in model.state_dict().items():
        if name.startswith(inside) or name in computed or place_of(tensor) in seen:
            continue
        if name == LOGITS_BIAS and not tensor.is_meta and not tensor.any():
            continue
        seen.add(place_of(tensor))
        tensors[name] = tensor
    return tensors


def place_of(tensor: Tensor) -> tuple[int, int]:
    """Where a tensor lies: tied ones share their memory, and where there is none, what stands for it."""
    return tensor.untyped_storage()._cdata, int(tensor.storage_offset())
