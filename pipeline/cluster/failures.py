"""What a person can do about a failed worker, and whether a restart could do without."""

from __future__ import annotations

import re
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.storage.disk import disk_trouble

# As torch, CUDA's libraries, the system and Ray's memory monitor say it.
OUT_OF_MEMORY = re.compile(
    r"out of memory|running low on memory|can(no|')t allocate memory|STATUS_ALLOC_FAILED", re.IGNORECASE
)
MAX_REASON_CHARACTERS = 160


def advice(error: BaseException, name: str, cluster: ClusterConfig) -> UserError | None:
    """What to tell a person about an error of a worker; none where nothing is known.

    Args:
        error: as raised in a worker or by Ray.
        name: of the group of workers, for people.
        cluster: the group.
    """
    chain = [error]
    while (cause := chain[-1].__cause__ or getattr(chain[-1], "_base_exc", None)) is not None and cause not in chain:
        chain.append(cause)
    for one in chain:
        if isinstance(one, UserError):
            return UserError(one.given, one.allowed, one.change)
        if told := disk_trouble(one):
            return told
        if isinstance(one, MemoryError) or OUT_OF_MEMORY.search(str(one)):
            return _out_of_memory(one, name, cluster)
    return None


def lasts(error: BaseException) -> bool:
    """Whether a worker would fail like this again: what it raised itself, not what Ray says of a worker that died."""
    error = getattr(error, "_base_exc", error)  # Ray Train wraps what a worker raised
    known = isinstance(error, UserError | MemoryError) or OUT_OF_MEMORY.search(str(error)) is not None
    known = known or disk_trouble(error) is not None
    return known and not type(error).__module__.startswith("ray.")


def no_useless_restart(name: str, cluster: ClusterConfig) -> Any:
    """A callback that ends a run of Ray Train whose workers failed as they would again.

    Ray Train's controller calls it before it decides about a restart; errors of the controller are not retried.
    """
    from ray.train import ControllerError, UserCallback

    class NoUselessRestart(UserCallback):  # type: ignore[misc]  # untyped to mypy
        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            for _, error in sorted(worker_exceptions.items()):
                if lasts(error) and (told := advice(error, name, cluster)):
                    raise ControllerError(told)

    return NoUselessRestart()


def _out_of_memory(error: BaseException, name: str, cluster: ClusterConfig) -> UserError:
    reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS] or type(error).__name__
    where = "its GPU" if cluster.gpus_per_worker else "its machine"
    return UserError(
        f"{name}: a worker ran out of the memory of {where} ({reason})",
        "models and batches that fit into one worker",
        "set sweep.cohort_size lower, or cluster.worker_memory_gib to less than a worker has, so that fewer students "
        "share a worker: what is finished stays. Where one is too large alone: lower micro_batch_tokens of student or "
        "teacher, or evaluation.batch_tokens while texts are generated. Then submit again",
    )
