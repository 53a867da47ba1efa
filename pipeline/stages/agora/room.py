"""Which candidates of a round are trained together: interrupted ones as they were, others as many as memory holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cluster.room import GIB, worker_memory_bytes
from pipeline.config.errors import UserError
from pipeline.config.keys import config_hash
from pipeline.quantization.scheme import NOT_QUANTIZED
from pipeline.stages.agora.fit_candidates import Candidate
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.memory import (
    cohort_bytes,
    evaluation_bytes,
    micro_batches,
    num_parameters,
    pass_bytes,
    work_of,
)
from pipeline.storage.sealed_json import found_json
from pipeline.training.checkpoint import has_checkpoint, read_progress
from pipeline.training.progress_file import is_others

CANDIDATES = "candidates.json"  # keys of the cohort that a checkpoint folder belongs to

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Candidates that see the same batches on the same workers, and what one of these needs."""

    candidates: list[Candidate]
    memory_bytes: float


def interrupted_cohorts(
    plan: AgoraPlan, candidates: Sequence[Candidate], lengths: Sequence[tuple[int, int]], checkpoints: Path
) -> list[Cohort]:
    """Cohorts with a checkpoint, as they were, however much memory is free now; on other workers if these have it.

    Args:
        plan: says which models.
        candidates: of a round.
        lengths: source and target tokens of the examples that they learn from.
        checkpoints: where checkpoints lie, a folder for every cohort.
    """
    requested, found, cluster = {one.plan.key: one for one in candidates}, list[Cohort](), plan.job.config.cluster
    left = [record for record in sorted(checkpoints.glob(f"*/{CANDIDATES}")) if has_checkpoint(record.parent)]
    left.sort(key=lambda record: -read_progress(record.parent).get("step", 0))  # the further one
    for record in left:
        keys, given = found_json(record, "its cohort is formed anew"), cluster.worker_memory_gib
        if keys is None or not set(keys) <= set(requested) or all(requested[key].is_done for key in keys):
            continue
        cohort, folder = _cohort(plan, [requested[key] for key in keys], lengths), record.parent
        if folder.name != config_hash(keys):
            log.warning(f"the checkpoints in {folder} are of an earlier version: its cohort starts afresh")
        elif is_others(read_progress(folder), cluster) and cohort.memory_bytes > worker_memory_bytes(cluster):
            log.warning(f"a cohort of {len(keys)} candidates starts afresh: these workers have no room for all at once")
        elif len(keys) > 1 and given is not None and cohort.memory_bytes > given * GIB:
            log.warning(
                f"a cohort of {len(keys)} candidates starts afresh as smaller ones: cluster.worker_memory_gib={given:g}"
            )
        else:
            found.append(cohort)
            requested = {key: one for key, one in requested.items() if key not in keys}
    return found


def cohorts_of(plan: AgoraPlan, candidates: Sequence[Candidate], lengths: Sequence[tuple[int, int]]) -> list[Cohort]:
    """Cohorts of one number of tokens in a batch and one seed each, in the given order.

    Args:
        plan: says which models.
        candidates: of a round.
        lengths: source and target tokens of the examples that they learn from.

    Raises:
        UserError: a candidate that is too large alone.
    """
    alike: dict[tuple[int, int], list[Candidate]] = {}
    for one in candidates:
        alike.setdefault((one.train.batch_tokens, one.plan.seed), []).append(one)
    cohorts, room = [], worker_memory_bytes(plan.job.config.cluster)
    for group in alike.values():
        most = next((n for n in range(len(group), 0, -1) if _memory(plan, group[:n], lengths) <= room), 0)
        if not most:
            raise UserError(
                f"a candidate needs about {_memory(plan, group[:1], lengths) / GIB:.1f} GiB in each of "
                f"{plan.job.config.cluster.num_workers} workers",
                f"{room / GIB:.1f} GiB for each here",
                "lower student.micro_batch_tokens, use more ZeRO or larger nodes, or a smaller candidate",
            )
        for first in range(0, len(group), most):
            cohorts.append(_cohort(plan, group[first : first + most], lengths))
    return cohorts


def _cohort(plan: AgoraPlan, members: Sequence[Candidate], lengths: Sequence[tuple[int, int]]) -> Cohort:
    return Cohort(candidates=list(members), memory_bytes=_memory(plan, members, lengths))


def _memory(plan: AgoraPlan, candidates: Sequence[Candidate], lengths: Sequence[tuple[int, int]]) -> float:
    """Of one worker; candidates are all of one architecture."""
    job, first = plan.job, candidates[0]
    depth = (len(plan.maps[0]), len(plan.maps[1]))
    work = work_of(plan.start_config, depth)
    batches = micro_batches(lengths, first.train, job.config.cluster.num_workers, first.plan.seed)
    validation = job.task.split("validation").lengths()[: job.config.evaluation.max_validation_examples]
    # What starts from a model of another shape imitates logits alone.
    compares = plan.start is None and first.plan.compares_attention
    largest = max(
        pass_bytes(work, batches, work_of(job.model_config), compares_attention=compares),
        evaluation_bytes(work, validation, job.config.evaluation.batch_tokens),
    )
    scheme = first.plan.scheme
    quantized = min(scheme.weight_bits, scheme.embedding_bits) < NOT_QUANTIZED
    sizes = [num_parameters(plan.start_config, depth)] * len(candidates)
    teacher = num_parameters(job.model_config) + (num_parameters(plan.start_config) if plan.start else 0)
    return cohort_bytes(sizes, [quantized] * len(candidates), teacher, largest, job.config.cluster)
