"""How many groups of workers of this job wait, train, are done or have failed, for monitoring."""

from __future__ import annotations

import threading
from collections import Counter

from pipeline.console import gauges

WAITING, TRAINING, DONE, FAILED = STATES = ("waiting", "training", "done", "failed")
_states: dict[str, str] = {}
_lock = threading.Lock()  # groups are watched by threads of their own


def is_now(group: str, state: str) -> None:
    """A group is in a state; all counts are shown where that is new."""
    with _lock:
        if _states.get(group) == state:
            return
        _states[group] = state
        counts = Counter(_states.values())
        for one in STATES:
            gauges.show(gauges.GROUPS, counts[one], state=one)
