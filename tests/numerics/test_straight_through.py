"""Law 3: gradients pass straight through; cached weights are never stale."""

import pytest
import torch
from torch import nn

from pipeline.quantization.fake_quantise import (
    ActivationFakeQuantise,
    WeightFakeQuantise,
    drop_weight_cache,
    round_trip,
)
from pipeline.quantization.quantisers import Symmetric


@pytest.mark.parametrize("layer", [ActivationFakeQuantise, WeightFakeQuantise])
def test_the_gradient_is_the_upstream_one_inside_the_clip_and_zero_outside(quantiser, layer):
    """Without a clip it passes everywhere, bit for bit."""
    generator = torch.Generator().manual_seed(3)
    x = (3 * torch.randn(6, 10, generator=generator)).requires_grad_()
    upstream = torch.randn(6, 10, generator=generator)
    layer(quantiser)(x).backward(upstream)
    inside = torch.ones(6, 10) if quantiser.clip_value is None else (x.detach().abs() <= 2.5).float()
    assert 0 < inside.mean() <= 1
    assert torch.equal(x.grad, upstream * inside)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_quantised_in_fp32_and_gets_its_gradient_back_in_its_own_type(dtype):
    """Scales of bf16 activations do not lose bits."""
    x = torch.linspace(-1, 1, 12, dtype=dtype).view(2, 6).requires_grad_()
    values = ActivationFakeQuantise(Symmetric(bits=8, per_row=True))(x)
    assert torch.equal(values, round_trip(x.detach().float(), Symmetric(bits=8, per_row=True))[0])
    values.sum().backward()
    assert x.grad.dtype == dtype
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("change", ["add_", "copy_", "load_state_dict", "double", "optimiser", "data"])
def test_a_cached_weight_is_never_stale(change):
    """Whoever changed the parameter, and however; behind autograd's back the owner says so with `drop_weight_cache`."""
    quantise, layer = WeightFakeQuantise(Symmetric(bits=8, per_row=True)), nn.Linear(6, 4, bias=False)
    torch.manual_seed(1)
    new = torch.randn(4, 6)
    quantise(layer.weight)
    with torch.no_grad():
        if change == "add_":
            layer.weight.add_(new)
        elif change == "copy_":
            layer.weight.copy_(new)
        elif change == "load_state_dict":
            layer.load_state_dict({"weight": new})
        elif change == "double":
            layer.double()
        elif change == "optimiser":
            layer.weight.grad = new
            torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True).step()
            drop_weight_cache(quantise)
        else:
            layer.weight.data.copy_(new)
            drop_weight_cache(nn.Sequential(quantise))
    assert torch.equal(quantise(layer.weight), round_trip(layer.weight.detach(), quantise.quantiser)[0])
