"""The plan of a sweep: which students share a teacher pass, with how much memory, for how many steps."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cluster.room import GIB, check_resources, nodes_alive, num_groups, worker_memory_bytes
from pipeline.config.errors import UserError
from pipeline.config.jobs import TrainsTeacher
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.sweep import StoppingConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batches import BatchPlan
from pipeline.quantization.scheme import NOT_QUANTIZED
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import (
    checkpoint_bytes,
    cohort_bytes,
    evaluation_bytes,
    micro_batches,
    num_parameters,
    pass_bytes,
    quantizing_bytes,
    work_of,
)
from pipeline.stages.sweep.plan.finished_students import students_done
from pipeline.stages.sweep.plan.students import StudentPlan, plan_students, sweep_key
from pipeline.stages.teacher.fine_tune import teacher_key
from pipeline.stages.teacher.finished import is_finished
from pipeline.stages.teacher.room import check_teacher_room
from pipeline.storage.layout import MIN_FREE_BYTES, check_free
from pipeline.storage.sealed_json import found_json, sealed_json
from pipeline.tracking.tracker import FoundRun
from pipeline.training.checkpoint import has_checkpoint, read_progress
from pipeline.training.progress_file import is_others

COHORT = "students.json"  # keys of the cohort that a checkpoint folder belongs to
COMPARISONS = "comparisons.json"  # after which of its steps its students were or will be compared

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CohortPlan:
    """Students that see the same batches on the same workers."""

    students: list[StudentPlan]
    memory_bytes: float  # of one worker, estimated
    continues: bool  # from a checkpoint


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What a sweep will do."""

    key: str
    folder: Path
    students: list[StudentPlan]
    already_done: dict[str, FoundRun]  # student's key -> its run; nothing is left to do for it
    cohorts: list[CohortPlan]
    untrained: list[CohortPlan]  # what is quantized without training, when the cohorts have ended
    num_at_once: int  # cohorts that the empty cluster has room for
    num_steps: int  # optimiser steps of a student
    num_parameters: dict[str, int]  # of a student, by key
    teacher: str  # what becomes of the teacher


def plan_sweep(job: OpenedJob[SweepJob]) -> SweepPlan:
    """Look at what is done already and form cohorts of the rest: nothing is trained, no run is written.

    Raises:
        UserError: a depth that the teacher does not have, a student that no worker has memory for, too little disk.
    """
    config, teacher = job.config, teacher_key(job.config, job.task)
    key, has_teacher = sweep_key(config, teacher), is_finished(job.storage.teacher(teacher))
    if not has_teacher:
        check_teacher_room(job)
    folder, plans = job.storage.sweep(key), plan_students(job, teacher)
    sizes = {
        plan.key: num_parameters(job.model_config, (len(plan.encoder_map), len(plan.decoder_map))) for plan in plans
    }
    already_done = students_done(config, plans, folder)
    former, room = _Former(job, sizes), worker_memory_bytes(config.cluster)
    interrupted = _interrupted(config, plans, already_done, folder / "checkpoints", former, room)
    going_on = {plan.key for cohort in interrupted for plan in cohort}
    left = [plan for plan in plans if plan.key not in already_done and plan.key not in going_on]
    fresh = former.form((plan for plan in left if plan.untrained is None), room)
    untrained = former.gather([plan for plan in left if plan.untrained is not None], room)
    cohorts = [
        CohortPlan(students=students, memory_bytes=former.memory(students), continues=students in interrupted)
        for students in [*interrupted, *fresh]
    ]
    num_at_once = _num_at_once(config.cluster, cohorts or untrained)
    on_disk = sorted(checkpoint_bytes([sizes[plan.key] for plan in cohort.students]) for cohort in cohorts)
    check_free(job.storage.root, MIN_FREE_BYTES + sum(on_disk[-num_at_once:]))
    return SweepPlan(
        key=key,
        folder=folder,
        students=plans,
        already_done=already_done,
        cohorts=cohorts,
        untrained=untrained,
        num_at_once=num_at_once,
        num_steps=num_steps_of(job, config.student),
        num_parameters=sizes,
        teacher=f"{teacher}: {'finished' if has_teacher else f'{num_steps_of(job, config.teacher)} optimiser steps'}",
    )


def plan_table(plan: SweepPlan) -> list[list[str]]:
    """Header and a line a student: what is done with it, in which cohort, how large both are."""
    lines = [["student", "cohort", "state", "million parameters", "steps", "GiB of a worker"]]
    for student in plan.students:
        number = next((i for i, cohort in enumerate(plan.cohorts, 1) if student in cohort.students), 0)
        size = f"{plan.num_parameters[student.key] / 1e6:.2f}"
        if group := next((group for group in plan.untrained if student in group.students), None):
            memory = f"{group.memory_bytes / GIB:.2f}"
            lines.append([student.name, "-", "to be quantized", size, "0", memory])
            continue
        if not number:
            lines.append([student.name, "-", plan.already_done[student.key].state, size, "-", "-"])
            continue
        cohort = plan.cohorts[number - 1]
        state, memory = "continues" if cohort.continues else "to be trained", f"{cohort.memory_bytes / GIB:.2f}"
        lines.append([student.name, str(number), state, size, str(plan.num_steps), memory])
    return lines


def plan_summary(plan: SweepPlan) -> str:
    """One sentence about the whole."""
    at_once = f", {min(plan.num_at_once, len(plan.cohorts))} at a time" if len(plan.cohorts) > 1 else ""
    left, untrained = (sum(len(group.students) for group in groups) for groups in (plan.cohorts, plan.untrained))
    without = f", {untrained} to quantize without training" if untrained else ""
    return (
        f"sweep {plan.key}: teacher {plan.teacher}; {len(plan.students)} students, {left} to train in "
        f"{len(plan.cohorts)} cohorts{at_once}{without}"
    )


def num_steps_of(job: OpenedJob[TrainsTeacher], train: TrainConfig) -> int:
    """Optimiser steps of a training run, as the first epoch is long."""
    plan = BatchPlan(
        lengths=job.task.split("train").lengths(),
        batch_tokens=train.batch_tokens,
        micro_batch_tokens=train.micro_batch_tokens,
        num_ranks=1,
        seed=job.config.seed,
    )
    total = train.epochs * plan.num_steps(0)
    return total if train.max_steps is None else min(total, train.max_steps)


def _interrupted(
    config: SweepJob,
    plans: Sequence[StudentPlan],
    already_done: dict[str, FoundRun],
    checkpoints: Path,
    former: _Former,
    room: float,
) -> list[list[StudentPlan]]:
    """Cohorts with a checkpoint that can go on as they were: on other workers where those have memory for them."""
    requested, cohorts = {plan.key: plan for plan in plans}, []
    left = [record for record in sorted(checkpoints.glob(f"*/{COHORT}")) if has_checkpoint(record.parent)]
    left.sort(key=lambda record: -read_progress(record.parent).get("step", 0))  # the further one
    for record in left:
        keys, folder = found_json(record, "its cohort is formed anew"), record.parent
        if keys is None or not set(keys) <= set(requested) or set(keys) <= set(already_done):
            continue
        if folder.name != config_hash(keys):
            log.warning(f"the checkpoints in {folder} are of an earlier version: its cohort starts afresh")
            continue
        progress = read_progress(folder)
        if any(progress.get("stopped", [])) and config.sweep.stopping.rule == "none":
            log.warning(f"a cohort of {len(keys)} students starts afresh: some were given up, all are wanted now")
            continue
        students = [requested[key] for key in keys]
        if is_others(progress, config.cluster) and former.memory(students) > room:
            log.warning(f"a cohort of {len(keys)} students starts afresh: these workers have no room for all at once")
        elif not former.is_asked_for(students):
            log.warning(
                f"a cohort of {len(keys)} students starts afresh as smaller ones: that is what is asked for now"
            )
        elif (why := _why_not_compared(folder, config.sweep.stopping)) is not None:
            log.warning(f"a cohort of {len(keys)} students starts afresh: {why}")
        else:
            cohorts.append([requested.pop(key) for key in keys])
    return cohorts


def _why_not_compared(folder: Path, stopping: StoppingConfig) -> str | None:
    """Why a checkpoint's students were not compared wherever they are now, as far as it is; none: they were."""
    if stopping.rule == "none":
        return None
    known, progress = found_json(folder / COMPARISONS, "its cohort starts afresh"), read_progress(folder)
    if known is None or not progress:
        return "nothing says after which steps they were compared"
    if {due for due in stopping.steps(known["num_steps"]) if due <= progress["step"]} <= set(known["compared"]):
        return None
    return "its checkpoint lies behind steps after which students are compared now"


def note_comparisons(folder: Path, stopping: StoppingConfig, num_steps: int) -> None:
    """Write down after which steps a cohort's students are compared; those that its checkpoint lies behind stay."""
    known = found_json(folder / COMPARISONS, "it is written again") or {"compared": []}
    reached = read_progress(folder).get("step", 0)
    compared = {step for step in known["compared"] if step <= reached} | stopping.steps(num_steps)
    sealed_json(folder / COMPARISONS, {"num_steps": num_steps, "compared": sorted(compared)})


class _Former:
    """Puts students together that can see the same batches, as many as a worker's memory holds."""

    def __init__(self, job: OpenedJob[SweepJob], sizes: dict[str, int]) -> None:
        self.config, self.model_config, self.sizes = job.config, job.model_config, sizes
        self.teacher, self.work_of_teacher = num_parameters(job.model_config), work_of(job.model_config)
        lengths, num_workers = job.task.split("train").lengths(), job.config.cluster.num_workers
        self.batches = micro_batches(lengths, job.config.student, num_workers, job.config.seed)
        stops, most = job.config.sweep.stopping.rule != "none", job.config.evaluation.max_validation_examples
        self.validation = job.task.split("validation").lengths()[:most] if stops else []  # what is validated on the way
        self.pass_bytes: dict[tuple[tuple[int, int], bool], float] = {}  # by depth, and whether maps are compared

    def memory(self, students: Sequence[StudentPlan]) -> float:
        """Of one worker that trains them."""
        schemes = [plan.scheme for plan in students]
        quantized = [min(s.weight_bits, s.embedding_bits) < NOT_QUANTIZED for s in schemes]
        sizes = [self.sizes[plan.key] for plan in students]
        return cohort_bytes(sizes, quantized, self.teacher, self._largest_pass(students), self.config.cluster)

    def _largest_pass(self, students: Sequence[StudentPlan]) -> float:
        """Of one of them; the teacher's maps lie beside all of them where one compares them."""
        compares = any(plan.compares_attention for plan in students)
        return max(self._pass_bytes(plan, compares) for plan in students)

    def _pass_bytes(self, plan: StudentPlan, compares: bool) -> float:
        kind = (len(plan.encoder_map), len(plan.decoder_map)), compares
        if kind not in self.pass_bytes:
            work, batch_tokens = work_of(self.model_config, kind[0]), self.config.evaluation.batch_tokens
            validated = evaluation_bytes(work, self.validation, batch_tokens)
            largest = pass_bytes(work, self.batches, self.work_of_teacher, compares_attention=compares)
            self.pass_bytes[kind] = max(largest, validated)
        return self.pass_bytes[kind]

    def is_asked_for(self, students: Sequence[StudentPlan]) -> bool:
        """Whether the settings, changed after a worker ran out of memory, still want so large a cohort."""
        most, given = self.config.sweep.cohort_size, self.config.cluster.worker_memory_gib
        too_many = most is not None and len(students) > most
        return len(students) == 1 or (not too_many and (given is None or self.memory(students) <= given * GIB))

    def form(self, plans: Iterable[StudentPlan], room: float) -> list[list[StudentPlan]]:
        """Cohorts in the students' order.

        Raises:
            UserError: a student that is too large alone.
        """
        alike: dict[str, list[list[StudentPlan]]] = {}
        most = self.config.sweep.cohort_size
        for plan in plans:
            self._check_room(plan, self.memory([plan]), room)
            # One cohort sees one sequence of batches.
            cohorts = alike.setdefault(f"{plan.seed} {plan.sequence}", [[]])
            full = len(cohorts[-1]) == most or self.memory([*cohorts[-1], plan]) > room
            if cohorts[-1] and full:
                cohorts.append([])
            cohorts[-1].append(plan)
        return [cohort for cohorts in alike.values() for cohort in cohorts]

    def gather(self, plans: Sequence[StudentPlan], room: float) -> list[CohortPlan]:
        """Students that are quantized without training, one after the other on the same workers.

        Raises:
            UserError: a student that is too large.
        """
        alike: dict[str, list[StudentPlan]] = {}
        for plan in plans:
            self._check_room(plan, self._memory_to_quantize([plan]), room)
            alike.setdefault(f"{plan.seed} {plan.sequence}", []).append(plan)  # scales come from the first batch
        return [
            CohortPlan(students=students, memory_bytes=self._memory_to_quantize(students), continues=False)
            for students in alike.values()
        ]

    def _memory_to_quantize(self, students: Sequence[StudentPlan]) -> float:
        return quantizing_bytes(
            max(self.sizes[plan.key] for plan in students), self.teacher, self._largest_pass(students)
        )

    def _check_room(self, plan: StudentPlan, needed: float, room: float) -> None:
        """Refuse a student that no worker has memory for.

        Raises:
            UserError: as said.
        """
        if needed > room:
            raise UserError(
                f"student '{plan.name}' needs about {needed / GIB:.1f} GiB in each of "
                f"{self.config.cluster.num_workers} workers",
                f"{room / GIB:.1f} GiB for each here",
                "lower student.micro_batch_tokens, use more ZeRO or larger nodes, or set cluster.worker_memory_gib",
            )


def _num_at_once(cluster: ClusterConfig, cohorts: Sequence[CohortPlan]) -> int:
    if cluster.launcher == "process" or not cohorts:
        return 1
    nodes, largest = nodes_alive(), max(cohort.memory_bytes for cohort in cohorts)
    check_resources(cluster, nodes, largest)
    return num_groups(cluster, nodes, largest)
