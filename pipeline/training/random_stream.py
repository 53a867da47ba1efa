"""A random stream of one's own: a student's dropout does not depend on who else trains in its cohort."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


class RandomStream:
    """Context manager: inside, torch's global generators continue this stream; outside, they are as before.

    Args:
        seed: start of the stream; ranks use different ones, or their dropout masks would be equal.
        device: the device whose generator is swapped beside the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed, self.cuda = seed, device if device.type == "cuda" else None
        self.inside = self._start(seed)
        self.outside: list[torch.Tensor] = []

    def __enter__(self) -> None:
        self.outside = self._get()
        self._set(self.inside)

    def __exit__(self, *exception: Any) -> None:
        self.inside = self._get()
        self._set(self.outside)

    def state(self) -> list[torch.Tensor]:
        """The position in the stream."""
        return self.inside

    def restore(self, state: list[torch.Tensor]) -> None:
        """Go to a position of `state`."""
        self.inside = state

    def restart(self, rank: int, step: int) -> None:
        """Go to a start that depends on seed, rank and step: where nobody has left a position to go on from."""
        digest = hashlib.sha256(f"{self.seed}:{rank}:{step}".encode()).digest()
        self.inside = self._start(int.from_bytes(digest[:8], "big"))

    def _start(self, seed: int) -> list[torch.Tensor]:
        outside = self._get()
        torch.manual_seed(seed)
        start = self._get()
        self._set(outside)
        return start

    def _get(self) -> list[torch.Tensor]:
        states = [torch.get_rng_state()]
        if self.cuda is not None:
            states.append(torch.cuda.get_rng_state(self.cuda))
        return states

    def _set(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self.cuda is not None:
            torch.cuda.set_rng_state(states[1], self.cuda)
