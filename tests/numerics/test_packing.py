"""Law 5: packing is lossless for every bit width and shape, refuses what does not fit, and has the size of its
formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quantization.packing import PACKED_BITS, pack, packed_size, unpack

SHAPES = [(0,), (1,), (7,), (8,), (9,), (0, 4), (1, 1), (3, 5), (2, 3, 5), (17, 33), ()]


def random_codes(shape: tuple[int, ...], bits: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low, high = ends(bits)
    return torch.randint(low, high + 1, shape, dtype=torch.int16, generator=generator)


def ends(bits: float) -> tuple[int, int]:
    return (-1, 1) if bits == 1.58 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", PACKED_BITS)
def test_unpack_is_the_inverse_of_pack(bits, shape):
    """For awkward shapes, too, and over the whole range of codes."""
    for seed in range(3):
        codes = random_codes(shape, bits, seed)
        packed = pack(codes, bits)
        assert packed.dtype == torch.uint8
        assert packed.shape == (packed_size(codes.numel(), bits),)
        assert torch.equal(unpack(packed, bits, shape), codes)


@pytest.mark.parametrize("bits", PACKED_BITS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_list_of_codes_survives(bits, data):
    """The property behind the examples."""
    code = st.integers(*ends(bits))
    codes = torch.tensor(data.draw(st.lists(code, max_size=70)), dtype=torch.int16)
    assert torch.equal(unpack(pack(codes, bits), bits, tuple(codes.shape)), codes)


@pytest.mark.parametrize("bits", PACKED_BITS)
def test_every_code_has_its_documented_place(bits):
    """The bytes, read as one little-endian integer, are the codes in base 2^b; ternary ones in base 3 byte by byte."""
    codes, (low, high) = random_codes((40,), bits), ends(bits)
    packed, base = bytes(pack(codes, bits).tolist()), high - low + 1
    numbers = packed if bits == 1.58 else [int.from_bytes(packed, "little")]
    per_number = 5 if bits == 1.58 else 40
    digits = [number // base**i % base for number in numbers for i in range(per_number)]
    assert digits == [int(code) - low for code in codes]


@pytest.mark.parametrize("bits", PACKED_BITS)
@pytest.mark.parametrize("num_codes", [0, 1, 2, 3, 4, 5, 7, 8, 9, 768, 1001])
def test_packed_size_is_dense_up_to_the_last_group(bits, num_codes):
    """bits x codes / 8 bytes, rounded up to the group that fills whole bytes (3 bytes at 3 bits; ternary 1.6 bits)."""
    group = 1 if bits == 1.58 else math.lcm(bits, 8) // 8
    least = num_codes / 5 if bits == 1.58 else bits * num_codes / 8
    size = packed_size(num_codes, bits)
    assert size % group == 0
    assert least <= size < least + group


@pytest.mark.parametrize("bits", PACKED_BITS)
def test_a_code_that_does_not_fit_is_refused(bits):
    """One below the lowest and one above the highest; the bounds themselves fit."""
    low, high = ends(bits)
    assert torch.equal(unpack(pack(torch.tensor([low, high]), bits), bits, (2,)), torch.tensor([low, high]).short())
    for bad in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"outside {bits} bits"):
            pack(torch.tensor([low, bad]), bits)


@pytest.mark.parametrize("bits", [0, 1.5, 5, 16, 32])
def test_other_bit_widths_are_refused(bits):
    """By all three functions."""
    for call in (lambda: pack(torch.zeros(4), bits), lambda: packed_size(4, bits)):
        with pytest.raises(ValueError, match="cannot be packed"):
            call()
    with pytest.raises(ValueError, match="cannot be packed"):
        unpack(torch.zeros(4, dtype=torch.uint8), bits, (4,))


@pytest.mark.parametrize("bits", PACKED_BITS)
def test_bytes_that_do_not_fit_the_shape_are_refused(bits):
    """A cut or a longer file is not unpacked into something plausible."""
    packed = pack(random_codes((3, 5), bits), bits)
    for wrong in (packed[:-1], torch.cat([packed, packed[:1]])):
        with pytest.raises(ValueError, match=r"bytes for shape \(3, 5\)"):
            unpack(wrong, bits, (3, 5))
