"""What every node of a cluster is asked, however busy it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Answer = TypeVar("Answer")


def answers_of(nodes: Sequence[str], question: Callable[[], Answer], seconds: float) -> list[Answer]:
    """The answer of every node, from a task that reserves nothing: all may be busy.

    Args:
        nodes: Ray's ids of them.
        question: importable there.
        seconds: how long they may take together.

    Raises:
        RayError: one has not answered in time, or not at all; nobody goes on answering.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = [
        ray.remote(num_cpus=0, num_gpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))(
            question
        ).remote()
        for node in nodes
    ]
    try:
        return list(ray.get(asked, timeout=seconds))
    except ray.exceptions.RayError:
        for answer in asked:
            ray.cancel(answer, force=True)
        raise


def last_words(error: Exception) -> str:
    """The end of the last line of an error, for people: Ray's begin with traces of other machines."""
    return str(error).strip().splitlines()[-1][-200:]
