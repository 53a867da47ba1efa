"""How fast one core reads memory: no decoding step can be faster than reading its weights."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

MEMORY_BYTES = 1 << 28  # no cache holds so much
LEAST_SECONDS = 0.3
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def read_bandwidth(num_bytes: float = MEMORY_BYTES) -> float:
    """Bytes a second of one core that reads the same bytes again and again; the best of a few times.

    What fits into a cache is read from there.

    Args:
        num_bytes: of the array, at most `MEMORY_BYTES`.
    """
    array = np.ones(max(1, int(min(num_bytes, MEMORY_BYTES)) // 8), dtype=np.int64)  # the largest integer: no BLAS
    best, start, count = 0.0, time.perf_counter(), 0
    while count < 5 or time.perf_counter() - start < LEAST_SECONDS:
        before = time.perf_counter()
        array.max()
        best, count = max(best, array.nbytes / (time.perf_counter() - before)), count + 1
    return best


def last_level_cache_bytes() -> int | None:
    """Size of the largest cache, where Linux says so."""
    sizes = []
    for path in CACHES.glob("index*/size"):
        text = path.read_text().strip()
        factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
        sizes.append(int(text.rstrip("KM")) * factor)
    return max(sizes, default=None)


def floors(sizes: Iterable[float]) -> dict[float, tuple[float, str]]:
    """How many milliseconds one core needs to read so many bytes of weights, and from where it reads them.

    What does not fit into a cache is read at the speed of memory, measured once for all.

    Args:
        sizes: numbers of bytes.
    """
    cache, memory, found = last_level_cache_bytes() or 0, read_bandwidth(), {}
    for size in set(sizes):
        fits = size <= cache
        found[size] = (1000.0 * size / (read_bandwidth(size) if fits else memory), "cache" if fits else "memory")
    return found
