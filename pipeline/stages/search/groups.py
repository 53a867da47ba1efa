"""Which trials are trained together: on the same batches, as many as memory holds, spread over the cluster."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.room import GIB, nodes_alive, num_groups, worker_memory_bytes
from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.models.load import read_model_config
from pipeline.quantization.scheme import NOT_QUANTIZED
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import (
    MicroBatch,
    Work,
    cohort_bytes,
    evaluation_bytes,
    micro_batches,
    num_parameters,
    pass_bytes,
    work_of,
)
from pipeline.stages.search.seen import is_open
from pipeline.stages.search.space import TrialPlan
from pipeline.storage.sealed_json import found_json, sealed_json
from pipeline.training.checkpoint import has_checkpoint, read_progress
from pipeline.training.progress_file import is_others

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TRIALS = "trials.json"  # keys of the group that a checkpoint folder belongs to

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trials that see the same batches on the same workers.

    Args:
        trials: in the order of their checkpoints.
        waiting: keys of those among them that take part no more.
        memory_bytes: of one worker, estimated.
        checkpoints: folder of its checkpoints.
    """

    trials: list[TrialPlan]
    waiting: frozenset[str]
    memory_bytes: float
    checkpoints: Path


class Grouping:
    """Forms groups, and finds those that were interrupted.

    Args:
        job: the job.
        folder: where checkpoints lie.
        trials: all that there are, those that take part no more among them.
        with_teacher: whether workers hold a teacher.
    """

    def __init__(
        self, job: OpenedJob[OseSearchJob], folder: Path, trials: Sequence[TrialPlan], with_teacher: bool
    ) -> None:
        self.job, self.config, self.folder = job, job.config, folder
        self.known = {trial.key: trial for trial in trials}
        lengths, cluster = job.task.split("train").lengths(), job.config.cluster
        self.batches: set[MicroBatch] = micro_batches(lengths, job.config.student, cluster.num_workers, job.config.seed)
        most = job.config.evaluation.max_validation_examples
        self.validation = job.task.split("validation").lengths()[:most]
        self.teacher = num_parameters(job.model_config) if with_teacher else 0
        self.work_of_teacher = work_of(job.model_config) if with_teacher else None
        self.shapes: dict[str, tuple[int, Work]] = {}

    def groups(self, trials: Sequence[TrialPlan]) -> list[Group]:
        """Groups of trials that are open: interrupted ones as they were, then new ones in the given order.

        Raises:
            UserError: a trial that is too large alone.
        """
        interrupted, left = self._interrupted({trial.key: trial for trial in trials})
        return [*interrupted, *map(self._group, self._formed(left))]

    def _interrupted(self, open_trials: dict[str, TrialPlan]) -> tuple[list[Group], list[TrialPlan]]:
        """Groups with a checkpoint, of which some are open, and the trials that are in none.

        Their other members take no part, but the checkpoint knows their places.
        """
        found, left = [], dict(open_trials)
        for record in sorted(self.folder.glob(f"*/{TRIALS}")):
            keys = found_json(record, "its group is formed anew") or []
            if keys and record.parent.name != config_hash(keys):
                if left.keys() & set(keys):
                    log.warning(f"the checkpoints in {record.parent} are of an earlier version, and not used")
                continue
            mine, progress = [left.pop(key) for key in keys if key in left], read_progress(record.parent)
            if mine and not progress and has_checkpoint(record.parent):
                log.warning(f"the checkpoints in {record.parent} are damaged, and not used")
            trials = [self.known[key] for key in keys if key in self.known]
            can_go_on = mine and len(trials) == len(keys) and self._can_go_on(keys, mine, progress)
            if can_go_on and self._fits(trials, progress):
                waiting = frozenset(keys) - {trial.key for trial in mine}
                found.append(
                    Group(trials=trials, waiting=waiting, memory_bytes=self.memory(trials), checkpoints=record.parent)
                )
            else:
                left |= {trial.key: trial for trial in mine}
        return found, [open_trials[key] for key in open_trials if key in left]

    def _can_go_on(self, keys: Sequence[str], trials: Sequence[TrialPlan], progress: Mapping[str, Any]) -> bool:
        """Whether a checkpoint has a place for each of these trials, and is behind no step that is still to be seen.

        Args:
            keys: of all its trials, in its order.
            trials: those that are open.
            progress: what it remembers; nothing where there is none.
        """
        if not progress:
            return False
        passed = [step for step in self.config.search.steps if step <= progress["step"]]
        for trial in trials:
            was_stopped = progress["stopped"][keys.index(trial.key)] is not None
            if was_stopped or any(is_open(trial, step) for step in passed):
                return False
        return True

    def _fits(self, trials: Sequence[TrialPlan], progress: Mapping[str, Any]) -> bool:
        """Whether other workers than those that wrote a checkpoint have memory for its trials."""
        if not is_others(dict(progress), self.config.cluster):
            return True
        if self.memory(trials) <= worker_memory_bytes(self.config.cluster):
            return True
        log.warning(f"a group of {len(trials)} candidates starts afresh: these workers have no room for all at once")
        return False

    def _formed(self, trials: Sequence[TrialPlan]) -> list[list[TrialPlan]]:
        room, most = worker_memory_bytes(self.config.cluster), self._most_together(trials)
        alike: dict[int, list[list[TrialPlan]]] = {}
        for trial in trials:
            if (alone := self.memory([trial])) > room:
                raise UserError(
                    f"candidate '{trial.name}' needs about {alone / GIB:.1f} GiB in each of "
                    f"{self.config.cluster.num_workers} workers",
                    f"{room / GIB:.1f} GiB for each here",
                    "lower student.micro_batch_tokens, use more ZeRO or larger nodes, or change the space",
                )
            groups = alike.setdefault(trial.seed, [[]])  # one group sees one sequence of batches
            full = len(groups[-1]) == most or self.memory([*groups[-1], trial]) > room
            if groups[-1] and full:
                groups.append([])
            groups[-1].append(trial)
        return [group for groups in alike.values() for group in groups]

    def _most_together(self, trials: Sequence[TrialPlan]) -> int:
        """As many as give every place of the cluster a group."""
        cluster = self.config.cluster
        places = 1 if cluster.launcher == "process" else max(1, num_groups(cluster, nodes_alive()))
        spread = max(1, math.ceil(len(trials) / places))
        return min(spread, self.config.search.group_size or spread)

    def _group(self, trials: list[TrialPlan]) -> Group:
        """A group that begins afresh; a checkpoint that its trials cannot go on from is removed."""
        keys = [trial.key for trial in trials]
        checkpoints = self.folder / config_hash(keys)
        shutil.rmtree(checkpoints, ignore_errors=True)
        sealed_json(checkpoints / TRIALS, keys)
        return Group(trials=trials, waiting=frozenset(), memory_bytes=self.memory(trials), checkpoints=checkpoints)

    def memory(self, trials: Sequence[TrialPlan]) -> float:
        """Of one worker that trains them."""
        shapes = [self._shape(trial) for trial in trials]
        schemes = [trial.student.scheme if trial.student is not None else None for trial in trials]
        quantized = [s is not None and min(s.weight_bits, s.embedding_bits) < NOT_QUANTIZED for s in schemes]
        compares = any(trial.student is not None and trial.student.compares_attention for trial in trials)
        largest = max(
            max(
                pass_bytes(work, self.batches, self.work_of_teacher, compares_attention=compares),
                evaluation_bytes(work, self.validation, self.config.evaluation.batch_tokens),
            )
            for _, work in shapes
        )
        return cohort_bytes([num for num, _ in shapes], quantized, self.teacher, largest, self.config.cluster)

    def _shape(self, trial: TrialPlan) -> tuple[int, Work]:
        if trial.point not in self.shapes:
            model_config, depth = self._config_of(trial)
            self.shapes[trial.point] = (num_parameters(model_config, depth), work_of(model_config, depth))
        return self.shapes[trial.point]

    def _config_of(self, trial: TrialPlan) -> tuple[PretrainedConfig, tuple[int, int] | None]:
        if trial.student is not None:
            return self.job.model_config, (len(trial.student.encoder_map), len(trial.student.decoder_map))
        assert trial.model is not None
        kind = self.config.task.facts.model
        return read_model_config(trial.model, self.job.task.tokenizer(), self.job.task.labels, kind), None
