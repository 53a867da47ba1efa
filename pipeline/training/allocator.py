"""The C library keeps the memory that tensors leave: in every process that trains or evaluates on CPU.

glibc returns each large block to the kernel when it is freed, and the kernel clears every page of the next one again:
half of the processor time of a training step (RESULTS.md). What is kept is used again; the most that a process needs at
one time stays its own until it ends.

Settings of glibc's malloc that the environment names stand as they are. Other C libraries know none of this and go on
as they do.
"""

from __future__ import annotations

import ctypes
import os
import sys

VARIABLE, PREFIX = "GLIBC_TUNABLES", "glibc.malloc."
NEVER = 2**62  # bytes at the end of the heap that are given back
# Of mallopt(3). No block of its own from the kernel, nothing given back (-1 is the largest size).
MMAP_MAX, TRIM_THRESHOLD = (-4, 0), (-1, -1)
# Threads share the one heap: what does not fit into a heap of their own, of 64 MiB, comes from the kernel in any case.
TUNABLES = {"mmap_max": 0, "trim_threshold": NEVER, "arena_max": 1}


def keep_memory() -> bool:
    """Keep memory in this process from now on, as far as its main thread allocates it.

    Returns:
        whether it is kept: not where the environment sets glibc's malloc, nor with another C library.
    """
    if PREFIX in os.environ.get(VARIABLE, "") or sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(*MMAP_MAX) == 1 and mallopt(*TRIM_THRESHOLD) == 1


def keeping_environment() -> dict[str, str]:
    """Environment variables of processes that keep memory from their start on, in all their threads."""
    given = os.environ.get(VARIABLE, "")
    if PREFIX in given:
        return {VARIABLE: given}
    ours = [f"{PREFIX}{name}={value}" for name, value in TUNABLES.items()]
    return {VARIABLE: ":".join([*ours, *filter(None, [given])])}
