"""Integer codes in bytes: 2, 3, 4 or 8 bits each, densely, in little-endian bit order.

Codes are stored with the offset 2^(bits-1), so that a code of zero is 2, 4, 8 or 128.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

PACKED_BITS = (2, 3, 4, 8)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Signed codes of any shape -> uint8 (packed_size(n, bits),).

    Raises:
        ValueError: a code does not fit, or the number of bits is not supported.
    """
    per_group, bytes_per_group = _group(bits)
    stored = codes.flatten().to(torch.int64) + 2 ** (bits - 1)
    if stored.numel() and (int(stored.min()) < 0 or int(stored.max()) >= 2**bits):
        raise ValueError(f"codes outside {bits} bits: {int(codes.min())} .. {int(codes.max())}")
    padding = -stored.numel() % per_group
    groups = torch.nn.functional.pad(stored, (0, padding)).view(-1, per_group)
    words = (groups << (bits * torch.arange(per_group))).sum(dim=1, keepdim=True)
    octets = (words >> (8 * torch.arange(bytes_per_group))) & 0xFF
    return octets.flatten().to(torch.uint8)


def unpack(packed: Tensor, bits: int, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `pack`: int16 codes of the given shape.

    Raises:
        ValueError: the number of bytes does not fit the shape.
    """
    per_group, bytes_per_group = _group(bits)
    num_codes = math.prod(shape)
    if packed.numel() != packed_size(num_codes, bits):
        raise ValueError(f"{packed.numel()} bytes for shape {shape} at {bits} bits")
    octets = packed.to(torch.int64).view(-1, bytes_per_group)
    words = (octets << (8 * torch.arange(bytes_per_group))).sum(dim=1, keepdim=True)
    stored: Tensor = (words >> (bits * torch.arange(per_group))) & (2**bits - 1)
    codes: Tensor = stored.flatten()[:num_codes] - 2 ** (bits - 1)
    return codes.to(torch.int16).view(shape)


def packed_size(num_codes: int, bits: int) -> int:
    """Bytes that `pack` makes of so many codes."""
    per_group, bytes_per_group = _group(bits)
    return math.ceil(num_codes / per_group) * bytes_per_group


def _group(bits: int) -> tuple[int, int]:
    """Codes and bytes of the smallest group that fills whole bytes."""
    if bits not in PACKED_BITS:
        raise ValueError(f"{bits} bits cannot be packed; one of {PACKED_BITS} can")
    bits_per_group = math.lcm(bits, 8)
    return bits_per_group // bits, bits_per_group // 8
