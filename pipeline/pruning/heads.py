"""How many heads an attention has, and where they lie in its tensors.

A head is a run of `width` rows of the query, key and value matrices and the same run of columns of the output matrix.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.config.errors import UserError
from pipeline.quantization.layers import mixins_of
from pipeline.quantization.prepare import AttentionSite

# BART, mBART, Marian, Pegasus; T5; BERT, RoBERTa.
WIDTH_NAMES = ("head_dim", "key_value_proj_dim", "attention_head_size")


def head_width(model: nn.Module, site: AttentionSite) -> int:
    """Values per head of a query, key or value.

    Raises:
        UserError: the attention module does not say.
    """
    attention = model.get_submodule(site.module)
    for name in WIDTH_NAMES:
        if isinstance(width := getattr(attention, name, None), int):
            return width
    raise UserError(
        f"heads of {site.module} ({type(attention).__name__}), whose width is unknown",
        f"attention modules with {', '.join(WIDTH_NAMES[:-1])} or {WIDTH_NAMES[-1]}",
        "leave this family's heads alone",
    )


def count_heads(model: nn.Module, site: AttentionSite) -> int:
    """Heads that an attention has now; the model's configuration knows only how many it was built with."""
    query = model.get_submodule(site.query)
    assert isinstance(query, nn.Linear)
    return query.out_features // head_width(model, site)


def plain_linear(model: nn.Module, name: str) -> nn.Linear:
    """A linear layer whose weight is read as it is.

    Raises:
        UserError: it is fake-quantized or packed already.
    """
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    if mixins_of(linear):
        # Its quantizer has learned one scale per block of the whole matrix.
        raise UserError(f"heads of the quantized layer {name}", "a model before quantization", "remove heads first")
    return linear


def scale_heads(x: Tensor, factors: Tensor, width: int) -> Tensor:
    """The input of an output linear, every head multiplied by its factor.

    Args:
        x: (batch, positions, heads x width).
        factors: (heads,), or (batch, 1, heads) for factors per example.
        width: head width.
    """
    heads = x.reshape(*x.shape[:-1], factors.size(-1), width)
    return (heads * factors.unsqueeze(-1)).flatten(-2)
