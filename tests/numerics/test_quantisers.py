"""Laws 1 to 3: fake quantisation equals a float64 reference, survives odd input, and passes gradients straight
through."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.config.errors import NonFiniteError
from pipeline.quantization.fake_quantise import round_trip
from pipeline.quantization.quantisers import MIN_SCALE, Quantiser, Symmetric, Ternary, quantise, round_scale

BITS = (2, 3, 4, 8)
FEW = settings(max_examples=25, deadline=None, derandomize=True)


def quantiser_of(bits: int, per_row: bool = True, clip: float | None = None) -> Quantiser:
    if bits == 2:
        return Ternary(per_row=per_row, clip_value=clip)
    return Symmetric(bits=bits, per_row=per_row, clip_value=clip)


def reference(x: np.ndarray, bits: int, per_row: bool, clip: float | None) -> np.ndarray:
    """Textbook quantisation in float64; only quotients and thresholds are rounded to the input's own precision."""
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
def test_fake_quantisation_equals_the_float64_reference(bits, per_row, clip, dtype):
    """Exactly, on values whose sums are exact in every order (multiples of 1/1024)."""
    for seed, shape in enumerate([(1, 1), (3, 7), (40, 24), (2, 5, 16)]):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randint(-4096, 4097, shape, generator=generator).to(dtype) / 1024
        values, _ = round_trip(x, quantiser_of(bits, per_row, clip))
        assert values.dtype == dtype
        assert torch.equal(values, torch.from_numpy(reference(x.numpy(), bits, per_row, clip)))


@FEW
@given(
    rows=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.floats(-8, 8, width=32)
    )
)
def test_values_lie_on_the_grid_and_quantising_twice_changes_nothing(quantiser, rows):
    """value == code * scale exactly, at most 2^b - 1 levels per scale (3 for ternary), idempotent."""
    x = torch.from_numpy(rows)
    values, _ = round_trip(x, quantiser)
    codes, scale = quantise(x, quantiser)
    exact = codes.double() * scale.double()
    assert torch.equal(values.double(), exact)
    assert int(codes.abs().max()) <= 2 ** (quantiser.bits - 1) - 1
    assert scale.shape == ((*x.shape[:-1], 1) if quantiser.per_row else ())
    assert torch.equal(round_trip(values, quantiser)[0], values)


@FEW
@given(rows=hnp.arrays(np.float32, (4, 9), elements=st.floats(0, 1, width=32)), bits=st.sampled_from([4, 8]))
def test_an_unsigned_grid_uses_all_its_levels_upwards(rows, bits):
    """Probabilities get codes 0 .. 2^b - 1, the largest value the highest code."""
    x = torch.from_numpy(rows)
    quantiser = Symmetric(bits=bits, per_row=True, signed=False)
    codes, scale = quantise(x, quantiser)
    assert int(codes.min()) >= 0
    assert int(codes.max()) <= 2**bits - 1
    large = x.amax(dim=1) > 1e-20
    assert (codes.amax(dim=1)[large] == 2**bits - 1).all()
    assert torch.equal(round_trip(codes * scale, quantiser)[0], codes * scale)


@FEW
@given(st.floats(2.0**-90, 2.0**100, width=32))
def test_a_rounded_scale_is_the_nearest_number_of_16_bits(value):
    """At most half a unit of the 16th bit away."""
    rounded = round_scale(torch.tensor(value)).double().item()
    mantissa, _ = np.frexp(rounded)
    assert mantissa * 2**16 == int(mantissa * 2**16)
    assert abs(rounded - value) <= value * 2.0**-16


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (1,), (1, 1), ()])
def test_empty_and_single_element_tensors_keep_their_shape(quantiser, shape):
    """Nothing to quantise is no error; a single element is its own scale."""
    values, _ = round_trip(torch.full(shape, -0.75), quantiser)
    assert values.shape == shape
    assert torch.allclose(values, torch.full(shape, -0.75), rtol=2**-16, atol=0)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, 1e-20, 0.3, -2.0, 1e20, 1e38, -3e38])
def test_a_constant_row_stays_itself(bits, per_row, value):
    """Up to the 16 bits of a scale, and down to the smallest scale; never NaN, never wiped out."""
    x = torch.full((2, 8), value)
    values, _ = round_trip(x, quantiser_of(bits, per_row))
    assert torch.isfinite(values).all()
    assert torch.allclose(values, x, rtol=2**-15, atol=1.01 * MIN_SCALE)


def test_a_zero_row_stays_zero_beside_other_rows(quantiser):
    """A row of zeros has a positive scale and no influence."""
    x = torch.stack([torch.zeros(6), torch.linspace(-1, 1, 6)])
    values, _ = round_trip(x, quantiser)
    codes, scale = quantise(x, quantiser)
    assert torch.equal(values[0], torch.zeros(6))
    assert (scale > 0).all()
    assert (codes[1] != 0).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_non_finite_tensor_is_never_packed(quantiser, bad):
    """`quantise` raises, whichever element it is."""
    x = torch.ones(3, 4)
    x[1, 2] = bad
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        quantise(x, quantiser)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_nan_never_becomes_finite_silently(quantiser, bad):
    """Training must see it, so that the loop can drop the student; only a clip may make infinity finite."""
    x = torch.ones(3, 4)
    x[1, 2] = bad
    values, _ = round_trip(x, quantiser)
    if quantiser.clip_value is None or bad != bad:
        assert not torch.isfinite(values).all()
    else:
        assert float(values[1, 2].sign()) == float(x[1, 2].sign())
