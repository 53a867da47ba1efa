"""Laws 1 to 3: fake quantization equals a float64 reference, survives odd input, and passes gradients straight
through."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.config.errors import NonFiniteError
from pipeline.quantization.blocks import ROW, TENSOR, Blocks
from pipeline.quantization.fake_quantize import round_trip
from pipeline.quantization.learned import AnchoredClip, LearnedStep, StretchedElastic
from pipeline.quantization.quantizers import (
    MIN_SCALE,
    Asymmetric,
    Elastic,
    Quantizer,
    Symmetric,
    Ternary,
    grid_of,
    quantize,
    round_scale,
)

BITS = (2, 3, 4, 8)
GROUPS = Blocks("group", 32)
FEW = settings(max_examples=25, deadline=None, derandomize=True)


def quantizer_of(bits: int, per_row: bool = True, clip: float | None = None) -> Quantizer:
    blocks = ROW if per_row else TENSOR
    if bits == 2:
        return Ternary(blocks=blocks, clip_value=clip)
    return Symmetric(bits=bits, blocks=blocks, clip_value=clip)


def start(quantizer: Quantizer, x: torch.Tensor) -> torch.Tensor | None:
    """The learned parameter, flat, where there is one."""
    return quantizer.initial(quantizer.blocks.split(x)).flatten() if quantizer.learned else None


def reference(x: np.ndarray, bits: int, per_row: bool, clip: float | None) -> np.ndarray:
    """Textbook quantization in float64; only quotients and thresholds are rounded to the input's own precision."""
    kind, wide = x.dtype.type, x.astype(np.float64)
    if clip is not None:
        wide = np.clip(wide, -clip, clip)
    result = np.empty_like(wide)
    for row in np.ndindex(wide.shape[:-1]) if per_row else [...]:
        values = wide[row]
        size = np.abs(values)
        if bits == 2:
            above = size > float(kind(float(kind(0.7)) * float(kind(size.mean()))))
            scale = kind(size[above].sum() / above.sum()) if above.any() else kind(0)
            codes = np.sign(values) * above
        else:
            highest = 2 ** (bits - 1) - 1
            scale = kind(size.max() / highest)
            codes = None
        mantissa, exponent = np.frexp(max(float(scale), MIN_SCALE))
        step = np.ldexp(np.floor(mantissa * 2**16 + 0.5), exponent - 16)
        if codes is None:
            codes = np.clip(np.rint((wide[row] / step).astype(x.dtype)), -highest, highest)
        result[row] = codes * step
    return result.astype(x.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip", [None, 2.5])
@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_fake_quantization_equals_the_float64_reference(bits, per_row, clip, dtype):
    """Exactly, on values whose sums are exact in every order (multiples of 1/1024)."""
    for seed, shape in enumerate([(1, 1), (3, 7), (40, 24), (2, 5, 16)]):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randint(-4096, 4097, shape, generator=generator).to(dtype) / 1024
        values = round_trip(x, quantizer_of(bits, per_row, clip)).values
        assert values.dtype == dtype
        assert torch.equal(values, torch.from_numpy(reference(x.numpy(), bits, per_row, clip)))


@FEW
@given(
    rows=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.floats(-8, 8, width=32)
    )
)
def test_values_lie_on_the_grid_and_quantizing_twice_changes_nothing(quantizer, rows):
    """value == (code - zero) x scale exactly, at most 2^b levels per scale (3 for ternary), idempotent.

    Not idempotent: a scale that is the mean of what rounding changes, and an asymmetric grid that a clip cuts.
    """
    x = torch.from_numpy(rows)
    parameter = start(quantizer, x)
    values = round_trip(x, quantizer, parameter).values
    codes, scale, zero, *_ = quantize(x, quantizer, parameter)
    exact = (codes.double() - zero) * scale.double()
    assert torch.equal(values.double(), exact.view(x.shape))
    ternary = quantizer.bits == 1.58 or (
        quantizer.bits == 2 and isinstance(quantizer, (Ternary, Elastic, AnchoredClip))
    )
    lowest, highest = (-1, 1) if ternary else (-(2 ** (quantizer.bits - 1)), 2 ** (quantizer.bits - 1) - 1)
    assert lowest <= int(codes.min())
    assert int(codes.max()) <= highest
    assert scale.shape == (*quantizer.blocks.split(x).shape[:-1], 1)
    of_a_mean = isinstance(quantizer, AnchoredClip) or (isinstance(quantizer, Elastic) and quantizer.bits != 1)
    if not of_a_mean and not (isinstance(quantizer, Asymmetric) and quantizer.clip_value is not None):
        assert torch.equal(round_trip(values, quantizer, parameter).values, values)


@pytest.mark.parametrize(
    "make",
    [
        lambda blocks: Symmetric(bits=4, blocks=blocks),
        lambda blocks: Asymmetric(bits=3, blocks=blocks),
        lambda blocks: Ternary(blocks=blocks),
        lambda blocks: Elastic(bits=1, blocks=blocks),
        lambda blocks: StretchedElastic(bits=2, blocks=blocks),
        lambda blocks: LearnedStep(bits=3, blocks=blocks),
    ],
)
def test_groups_are_short_rows_whose_scales_fit_bf16(make):
    """A matrix in groups of 32 is quantized like the matrix cut into rows of 32."""
    x = torch.randn(6, 96, generator=torch.Generator().manual_seed(0))
    quantizer = make(GROUPS)
    parameter = start(quantizer, x)
    values, scale = round_trip(x, quantizer, parameter).values, quantize(x, quantizer, parameter).scale
    assert scale.shape == (6, 3, 1)
    assert torch.equal(scale.bfloat16().float(), scale)
    cut = round_trip(x.view(18, 32), make(ROW), start(make(ROW), x.view(18, 32))).values
    assert torch.allclose(values.view(18, 32), cut, rtol=2**-7, atol=1.01 * float(scale.max()))
    assert torch.equal(round_trip(values, quantizer, parameter).values, values)
    with pytest.raises(ValueError, match="groups of 32 in rows of 33"):
        round_trip(torch.ones(2, 33), quantizer)


@pytest.mark.parametrize(
    ("make", "levels"),
    [
        (lambda: StretchedElastic(bits=2), [-0.75, -0.25, 0.25, 0.75]),
        (lambda: StretchedElastic(bits=1.58), [-2 / 3, 0, 2 / 3]),
        (lambda: LearnedStep(bits=2), [-2, -1, 0, 1]),
        (lambda: LearnedStep(bits=3), [-4, -3, -2, -1, 0, 1, 2, 3]),
        (lambda: Elastic(bits=1), [-0.5, 0.5]),
        (lambda: Elastic(bits=2), [-2 / 3, 0, 2 / 3]),
    ],
)
def test_the_levels_are_those_of_the_papers(make, levels):
    """ParetoQ's and TBT's levels on evenly spread values in -1 .. 1 (mean size 1/2), LSQ's in steps."""
    x = torch.linspace(-1, 1, 4001).unsqueeze(0)
    quantizer = make()
    parameter = start(quantizer, x)
    unit = 0.25 if isinstance(quantizer, LearnedStep) else 1.0
    if isinstance(quantizer, LearnedStep):
        parameter = torch.tensor([unit]).log()
    found = round_trip(x, quantizer, parameter).values.unique() / unit
    assert torch.allclose(found, torch.tensor(levels, dtype=torch.float32), rtol=1e-3, atol=1e-6)


@FEW
@given(rows=hnp.arrays(np.float32, (3, 8), elements=st.floats(-0.1875, 8, width=32)))
def test_an_asymmetric_grid_uses_its_levels_where_the_values_are(rows):
    """Zero is a level, and the error is at most half a step of the range."""
    x = torch.from_numpy(rows)
    values = round_trip(x, Asymmetric(bits=8)).values
    step = (x.amax(1, keepdim=True).clamp_min(0) - x.amin(1, keepdim=True).clamp_max(0)) / 255
    assert ((values - x).abs() <= 0.502 * step + 1e-6).all()
    assert torch.equal(values == 0, values.abs() < 0.4 * step) or (step < 1e-20).any()


@FEW
@given(rows=hnp.arrays(np.float32, (4, 9), elements=st.floats(0, 1, width=32)), bits=st.sampled_from([4, 8]))
def test_an_unsigned_grid_uses_all_its_levels_upwards(rows, bits):
    """Probabilities get codes 0 .. 2^b - 1, the largest value the highest code."""
    x = torch.from_numpy(rows)
    quantizer = Symmetric(bits=bits, signed=False)
    grid = grid_of(x, quantizer)
    codes, scale = grid.codes, grid.scale
    assert int(codes.min()) >= 0
    assert int(codes.max()) <= 2**bits - 1
    large = x.amax(dim=1) > 1e-20
    assert (codes.amax(dim=1)[large] == 2**bits - 1).all()
    assert torch.equal(round_trip(codes * scale, quantizer).values, codes * scale)


@FEW
@given(st.floats(2.0**-90, 2.0**100, width=32))
def test_a_rounded_scale_is_the_nearest_number_of_16_bits(value):
    """At most half a unit of the 16th bit away."""
    rounded = round_scale(torch.tensor(value)).double().item()
    mantissa, _ = np.frexp(rounded)
    assert mantissa * 2**16 == int(mantissa * 2**16)
    assert abs(rounded - value) <= value * 2.0**-16


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (1,), (1, 1)])
def test_empty_and_single_element_tensors_keep_their_shape(quantizer, shape):
    """Nothing to quantize is no error; the smallest tensor is finite."""
    x = torch.full(shape, -0.75)
    values = round_trip(x, quantizer, start(quantizer, x)).values
    assert values.shape == shape
    assert torch.isfinite(values).all()
    if isinstance(quantizer, (Symmetric, Asymmetric, Ternary)):
        assert torch.allclose(values, x, rtol=2**-16, atol=0)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, 1e-20, 0.3, -2.0, 1e20, 1e38, -3e38])
def test_a_constant_row_stays_itself(bits, per_row, value):
    """Up to the 16 bits of a scale, and down to the smallest scale; never NaN, never wiped out."""
    x = torch.full((2, 8), value)
    for quantizer in (quantizer_of(bits, per_row), Asymmetric(bits=bits, blocks=ROW if per_row else TENSOR)):
        values = round_trip(x, quantizer).values
        assert torch.isfinite(values).all()
        assert torch.allclose(values, x, rtol=2**-15, atol=1.01 * MIN_SCALE)


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-20, 0.3, 1e20, 1e38])
def test_odd_rows_stay_finite(quantizer, value):
    """A row of zeros, of denormals, of huge numbers, beside an ordinary one: finite, with positive scales."""
    x = torch.stack([torch.full((6,), value), torch.linspace(-1, 1, 6)])
    parameter = start(quantizer, x)
    trip = round_trip(x, quantizer, parameter)
    assert torch.isfinite(trip.values).all()
    assert (quantize(x, quantizer, parameter).scale > 0).all()
    if value == 0.0 and quantizer.bits != 1 and not (isinstance(quantizer, StretchedElastic) and quantizer.bits == 2):
        assert not trip.values[0].any()
    if value < 1:
        assert trip.values[1].any()


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_weight_exactly_at_the_ternary_threshold_is_zero(dtype, as_published):
    """In a row whose mean size is 1 the threshold is 0.7 itself."""
    threshold = torch.tensor(0.7, dtype=dtype)
    row = torch.stack([threshold, threshold - 1, torch.ones_like(threshold), torch.full_like(threshold, -2.0)])
    assert row.abs().mean() == 1
    values = round_trip(row.unsqueeze(0), Ternary(as_published=as_published)).values
    assert torch.equal(values, torch.tensor([[0.0, 0.0, 1.5, -1.5]], dtype=dtype))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_non_finite_tensor_is_never_packed(quantizer, bad):
    """`quantize` raises, whichever element it is, and also for the learned parameter."""
    x = torch.ones(3, 4)
    parameter = start(quantizer, x)
    if parameter is not None:
        with pytest.raises(NonFiniteError, match="NaN or infinite"):
            quantize(x, quantizer, parameter * bad)
    x[1, 2] = bad
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        quantize(x, quantizer, parameter)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_nan_never_becomes_finite_silently(quantizer, bad):
    """Training must see it, so that the loop can drop the student; only a clip may make infinity finite."""
    x = torch.ones(3, 4)
    parameter = start(quantizer, x)
    x[1, 2] = bad
    values = round_trip(x, quantizer, parameter).values
    clipped = quantizer.learned or getattr(quantizer, "clip_value", None) is not None
    if not clipped or bad != bad:
        assert not torch.isfinite(values).all()
    else:
        assert not values[1, 2] > 0 if bad < 0 else not values[1, 2] < 0
