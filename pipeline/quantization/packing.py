"""Integer codes in bytes: 1, 2, 3, 4 or 8 bits each, densely, or ternary, five to a byte.

Codes are stored with an offset: 2^(bits-1), so that a code of zero is 2, 4, 8 or 128 (one bit: codes -1 and 0), and 1
for ternary codes -1, 0, 1. Whole bits lie in little-endian bit order; ternary digits are in base 3, lowest first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.quantization.quantizers import TERNARY_BITS

PACKED_BITS = (1, TERNARY_BITS, 2, 3, 4, 8)


def pack(codes: Tensor, bits: float) -> Tensor:
    """Signed codes of any shape -> uint8 (packed_size(n, bits),).

    Raises:
        ValueError: a code does not fit, or the number of bits is not supported.
    """
    base, per_group, bytes_per_group = _group(bits)
    stored = codes.flatten().to(torch.int64) + base // 2
    if stored.numel() and (int(stored.min()) < 0 or int(stored.max()) >= base):
        raise ValueError(f"codes outside {bits} bits: {int(codes.min())} .. {int(codes.max())}")
    padding = -stored.numel() % per_group
    groups = torch.nn.functional.pad(stored, (0, padding)).view(-1, per_group)
    words = (groups * base ** torch.arange(per_group)).sum(dim=1, keepdim=True)
    octets = (words >> (8 * torch.arange(bytes_per_group))) & 0xFF
    return octets.flatten().to(torch.uint8)


def unpack(packed: Tensor, bits: float, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `pack`: int16 codes of the given shape.

    Raises:
        ValueError: the number of bytes does not fit the shape.
    """
    base, per_group, bytes_per_group = _group(bits)
    num_codes = math.prod(shape)
    if packed.numel() != packed_size(num_codes, bits):
        raise ValueError(f"{packed.numel()} bytes for shape {shape} at {bits} bits")
    octets = packed.to(torch.int64).view(-1, bytes_per_group)
    words = (octets << (8 * torch.arange(bytes_per_group))).sum(dim=1, keepdim=True)
    stored: Tensor = words // base ** torch.arange(per_group) % base
    codes: Tensor = stored.flatten()[:num_codes] - base // 2
    return codes.to(torch.int16).view(shape)


def packed_size(num_codes: int, bits: float) -> int:
    """Bytes that `pack` makes of so many codes."""
    _, per_group, bytes_per_group = _group(bits)
    return math.ceil(num_codes / per_group) * bytes_per_group


def largest_byte(bits: float) -> int:
    """The largest byte that `pack` writes: five ternary digits do not fill one."""
    base, per_group, bytes_per_group = _group(bits)
    return min(base**per_group, 256) - 1 if bytes_per_group == 1 else 255


def _group(bits: float) -> tuple[int, int, int]:
    """Levels of a code, and codes and bytes of the smallest group that fills whole bytes."""
    if bits not in PACKED_BITS:
        raise ValueError(f"{bits} bits cannot be packed; one of {PACKED_BITS} can")
    if bits == TERNARY_BITS:
        return 3, 5, 1
    whole = int(bits)
    bits_per_group = math.lcm(whole, 8)
    return 2**whole, bits_per_group // whole, bits_per_group // 8
