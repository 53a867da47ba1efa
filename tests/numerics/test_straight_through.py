"""Law 3: gradients pass straight through; cached weights are never stale."""

import pytest
import torch
from torch import nn

from pipeline.quantization.blocks import ROW, TENSOR
from pipeline.quantization.fake_quantize import (
    ActivationFakeQuantize,
    WeightFakeQuantize,
    drop_weight_cache,
    round_trip,
)
from pipeline.quantization.learned import AnchoredClip, ElasticStep, LearnedStep, StretchedElastic
from pipeline.quantization.quantizers import Symmetric, Ternary, grid_of


def test_the_gradient_is_the_upstream_one_inside_the_range_and_zero_outside(quantizer):
    """Without a clip it passes everywhere, bit for bit; learned quantizers clip where their levels end."""
    generator = torch.Generator().manual_seed(3)
    x = 3 * torch.randn(6, 10, generator=generator)
    x[:, :2] = torch.tensor([2.5, -2.5])  # at the clip: inside
    x.requires_grad_()
    upstream = torch.randn(6, 10, generator=generator)
    layer = WeightFakeQuantize(quantizer, x)
    layer(x).backward(upstream)
    trip = round_trip(x.detach(), quantizer, layer.parameter)
    inside = torch.ones(6, 10) if trip.inside is None else trip.inside.float()
    if getattr(quantizer, "clip_value", None) is not None:
        assert torch.equal(inside, (x.detach().abs() <= 2.5).float())
    assert 0 < inside.mean() <= 1
    assert torch.equal(x.grad, upstream * inside)
    if not quantizer.learned:
        x.grad = None
        ActivationFakeQuantize(quantizer)(x).backward(upstream)
        assert torch.equal(x.grad, upstream * inside)


@pytest.mark.parametrize("make", [Symmetric, Ternary])
@pytest.mark.parametrize("blocks", [ROW, TENSOR], ids=str)
def test_as_published_the_gradient_at_the_clip_is_zero(make, blocks):
    """As beyond it; the numbers next to it, and everything where there is no clip, get theirs."""
    ends = torch.tensor([2.5, 2.6, 9.0])
    below = torch.nextafter(torch.tensor(2.5), torch.tensor(0.0))
    x = torch.cat([ends, -ends, torch.stack([below, -below]), torch.tensor([0.0, 1.0])]).repeat(3, 1).requires_grad_()
    bits = {"bits": 8} if make is Symmetric else {}
    for clip, passed in ((2.5, [0.0] * 6 + [1.0] * 4), (None, [1.0] * 10)):
        for fake in (WeightFakeQuantize, lambda quantizer, _: ActivationFakeQuantize(quantizer)):
            x.grad = None
            fake(make(**bits, blocks=blocks, clip_value=clip, as_published=True), x)(x).sum().backward()
            assert torch.equal(x.grad, torch.tensor(passed).repeat(3, 1))


@pytest.mark.parametrize(
    ("quantizer", "end"),
    [
        (LearnedStep(bits=4), 7.0),
        (LearnedStep(bits=4), -8.0),
        (StretchedElastic(bits=2), 1.98),
        (StretchedElastic(bits=1.58), -1.485),
        (ElasticStep(bits=4), -7.0),
        (ElasticStep(bits=4, signed=False), 15.0),
    ],
    ids=str,
)
def test_the_end_of_a_learned_range_lies_inside(quantizer, end):
    """A scale of one: the gradient passes at the end, and stops at the next number."""
    end = torch.tensor(end)
    beyond = torch.nextafter(end, end * 2)
    x = torch.stack([end, beyond]).unsqueeze(1)
    steps = getattr(quantizer, "_steps_per_scale", 1.0)
    parameter = torch.full((2 if quantizer.blocks == ROW else 1,), steps).log()
    assert grid_of(x, quantizer, parameter).inside.flatten().tolist() == [True, False]


def test_the_gradient_of_a_learned_scale_is_that_of_the_rounded_expression(learned):
    """Autograd through s x (clip(x/s) + round's remainder as a constant), in float64, times the quantizer's factor."""
    x = 0.7 * torch.randn(5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    upstream = torch.randn(5, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    layer = WeightFakeQuantize(learned, x)
    layer(x).backward(upstream)
    blocks = learned.blocks.split(x)
    grid = grid_of(x, learned, layer.parameter.detach())
    scale = grid.scale.clone().requires_grad_()
    ends = {2: (-1, 1)} if isinstance(learned, AnchoredClip) else {}
    lowest, highest = ends.get(
        learned.bits, (-1, 1) if learned.bits < 2 else (-(2 ** (learned.bits - 1)), 2 ** (learned.bits - 1) - 1)
    )
    if isinstance(learned, AnchoredClip) and learned.bits > 2:
        lowest = -highest
    bound = (1.98, 1.98) if learned == StretchedElastic(bits=2, blocks=learned.blocks) else (1.485, 1.485)
    low, high = (-bound[0], bound[1]) if isinstance(learned, StretchedElastic) else (lowest, highest)
    clipped = (blocks / scale).clamp(low, high)
    value = scale * (clipped + ((grid.codes - grid.zero) - clipped).detach())
    value.backward(upstream.view(value.shape))
    expected = (scale.grad * learned.slope_factor(blocks, layer.parameter.detach().view(scale.shape))).flatten()
    assert torch.allclose(layer.parameter.grad, expected, rtol=1e-9, atol=1e-12)
    assert layer.parameter.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_quantized_in_fp32_and_gets_its_gradient_back_in_its_own_type(dtype):
    """Scales of bf16 activations do not lose bits."""
    x = torch.linspace(-1, 1, 12, dtype=dtype).view(2, 6).requires_grad_()
    values = ActivationFakeQuantize(Symmetric(bits=8))(x)
    assert torch.equal(values, round_trip(x.detach().float(), Symmetric(bits=8)).values)
    values.sum().backward()
    assert x.grad.dtype == dtype
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("change", ["add_", "copy_", "load_state_dict", "double", "optimiser", "data"])
def test_a_cached_weight_is_never_stale(change):
    """Whoever changed the parameter, and however; behind autograd's back the owner says so with `drop_weight_cache`."""
    layer = nn.Linear(6, 4, bias=False)
    quantize = WeightFakeQuantize(Symmetric(bits=8), layer.weight)
    torch.manual_seed(1)
    new = torch.randn(4, 6)
    quantize(layer.weight)
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
            drop_weight_cache(quantize)
        else:
            layer.weight.data.copy_(new)
            drop_weight_cache(nn.Sequential(quantize))
    assert torch.equal(quantize(layer.weight), round_trip(layer.weight.detach(), quantize.quantizer).values)
