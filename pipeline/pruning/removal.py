"""Removal of attention heads: smaller matrices, in place.

Transformers' attention modules reshape with (-1, head width), so the matrices alone say how many heads there are. A
pruned model's configuration still has the numbers it was built with: to load one, build it (on the meta device, too),
remove the same heads, and load the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.config.errors import UserError
from pipeline.pruning.heads import count_heads, head_width, plain_linear
from pipeline.pruning.position_bias import has_unknown_bias, keep_part_of_bias
from pipeline.quantization.prepare import AttentionSite, Sites

# Attributes of attention modules that count heads, and those that are the heads' total width. BART's `embed_dim` is the
# model's width, which stays.
COUNTS = ("num_heads", "n_heads", "num_attention_heads")
TOTALS = ("inner_dim", "all_head_size")


def remove_heads(model: nn.Module, sites: Sites, kept: dict[str, list[int]]) -> None:
    """Remove all but the kept heads, in place; what is left computes what it did with the others multiplied by 0.

    Optimisers and quantizers know the old parameters: remove heads before making them. Keeping all heads of a module
    leaves its parameters untouched. Numbers count the heads that are there, so heads can be removed again.

    Args:
        model: a plain model.
        sites: its attention modules.
        kept: attention module -> rising numbers of the heads to keep; modules not named keep all.

    Raises:
        UserError: an unknown module, numbers that are not rising heads of their module, no head at all, a quantized
            model, queries, keys and values of different sizes, a position bias unlike T5's. Nothing has changed.
    """
    by_name = {site.module: site for site in sites.attentions}
    for name, heads in kept.items():
        _check(model, by_name, name, heads)
    for name, heads in kept.items():
        if len(heads) < count_heads(model, by_name[name]):
            _remove(model, by_name[name], heads)


def _check(model: nn.Module, by_name: dict[str, AttentionSite], name: str, heads: list[int]) -> None:
    change = "change the list of kept heads"
    if name not in by_name:
        allowed = f"attention modules such as {next(iter(by_name))}" if by_name else "a model with attention modules"
        raise UserError(f"heads of '{name}', which no attention module is called", allowed, change)
    site = by_name[name]
    total = count_heads(model, site)
    if not heads or heads != sorted(set(heads)) or heads[0] < 0 or heads[-1] >= total:
        allowed = f"one or more rising numbers between 0 and {total - 1} without repetition"
        raise UserError(f"kept heads {heads} of {name}", allowed, change)
    layers = [plain_linear(model, linear) for linear in (site.query, site.key, site.value)]
    sizes = [*(layer.out_features for layer in layers), plain_linear(model, site.output).in_features]
    if set(sizes) != {total * head_width(model, site)}:
        # Query heads that share keys and values (Ainslie et al. 2023) cannot go one by one.
        raise UserError(f"{name} with queries, keys, values and output of sizes {sizes}", "one size", change)
    if has_unknown_bias(model.get_submodule(name)):
        raise UserError(f"heads of {name}, which has a position bias of its own", "a bias shared as in T5", change)


def _remove(model: nn.Module, site: AttentionSite, heads: list[int]) -> None:
    width, attention = head_width(model, site), model.get_submodule(site.module)
    keep_part_of_bias(attention, heads)
    for name in (site.query, site.key, site.value):
        linear = plain_linear(model, name)
        linear.weight = _chosen(linear.weight, 0, heads, width)
        if linear.bias is not None:
            linear.bias = _chosen(linear.bias, 0, heads, width)
        linear.out_features = linear.weight.size(0)
    output = plain_linear(model, site.output)
    output.weight = _chosen(output.weight, 1, heads, width)
    output.in_features = output.weight.size(1)
    sizes = dict.fromkeys(COUNTS, len(heads)) | dict.fromkeys(TOTALS, len(heads) * width)
    for name, size in sizes.items():
        if hasattr(attention, name):
            setattr(attention, name, size)


def _chosen(parameter: Tensor, axis: int, heads: list[int], width: int) -> nn.Parameter:
    """A new parameter of the heads' runs along an axis of an old one."""
    starts = torch.tensor(heads, device=parameter.device) * width
    index = (starts[:, None] + torch.arange(width, device=parameter.device)).flatten()
    return nn.Parameter(parameter.detach().index_select(axis, index), requires_grad=parameter.requires_grad)
