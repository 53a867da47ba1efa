"""What a process uses."""

from __future__ import annotations

import resource

import torch


def peak_memory_bytes() -> int:
    """Most device memory allocated so far; on CPU, the peak resident set of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB
