"""Stage: bits of one student module by module: what each does to the loss, and the best assignment within a budget."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_train import run_workers
from pipeline.config.build import to_dict
from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.sweep import StudentConfig
from pipeline.console.tables import text_table
from pipeline.evaluation.sensitivity import Sensitivity
from pipeline.models.student import meta_model, sites_of
from pipeline.quantization.one_at_a_time import block_parts
from pipeline.stages.finished_search import FinishedSearch, write_finished
from pipeline.stages.job import OpenedJob
from pipeline.stages.random_students import cut_student, random_weights
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.search.bit_assignments import MIB, Assigned, BitAssignments, mixed_scheme
from pipeline.stages.search.bit_report import bit_document, bit_table, bits_results, write_bit_report
from pipeline.stages.search.measure_sensitivity import FILE, SensitivityWork, measure_sensitivities, read_sensitivities
from pipeline.stages.search.space import trials_key
from pipeline.stages.search.training_texts import check_steps, training_tokens
from pipeline.stages.sweep.plan.students import StudentPlan, as_decided, layer_maps, plan_student
from pipeline.stages.teacher import fine_tune
from pipeline.storage.lease import lease
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

PLAIN = "32-32-32"
NOTE = "Front, bits by module and configuration: artifact `report/report.html`."

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MixedBitsPlan:
    """What is decided before anything is measured.

    Args:
        key: of what is measured: of everything but the budget.
        run_key: of the search: with its budget.
        name: what a sweep calls it.
        folder: where what is measured lies.
        student: in full precision.
    """

    key: str
    run_key: str
    name: str
    folder: Path
    student: StudentPlan

    @property
    def is_measured(self) -> bool:
        """Whether somebody has looked at the student with these data and settings."""
        return (self.folder / FILE).is_file()


def run(job: OpenedJob[OseSearchJob]) -> dict[str, Any]:
    """Train the student in full precision for the steps of the search, measure, and assign bits.

    Returns:
        the document printed by the job.

    Raises:
        UserError: steps beyond the training, a budget that even the fewest bits exceed, a student that diverged.
    """
    plan = _planned(job)
    if not plan.is_measured:
        check_steps(job.config, job.task.split("train").lengths())
    with lease(plan.folder, f"sensitivities {plan.key}"), _start_run(job, plan.run_key) as parent:
        if not plan.is_measured:
            _measure(job, plan.student)
        found = read_sensitivities(plan.folder)
        assignments = _assignments(job, plan, found)
        best, document = bit_document(plan.name, assignments, _budget(job))
        results = bits_results(job, assignments, best, document, parent.run_id or "")
        finished = job.storage.search(plan.name)
        report = write_bit_report(finished / "report", found, best, document, results)
        parent.artifacts(report, "report")
        parent.metrics({"bytes": float(best.size_bytes), "error": best.loss}, 0)
        parent.tags({"mlflow.note.content": f"{NOTE}\n\n{(report / 'results.md').read_text(encoding='utf-8')}"})
        write_finished(finished, _finished(job, plan.name, best, document))
    log.info(f"\n{text_table(bit_table(document))}\n\nreport: {report / 'report.html'}")
    return {"status": "finished", "run_id": parent.run_id, "report": str(report), **document}


def resolve(job: OpenedJob[OseSearchJob]) -> dict[str, Any]:
    """Another budget from what is stored; no run, and what a search of that name has left stays as it is.

    Returns:
        the document printed by the job.

    Raises:
        UserError: nothing is stored of such a student, or a budget that even the fewest bits exceed.
    """
    plan = _planned(job)
    if not plan.is_measured:
        raise UserError(
            f"sensitivities of {job.config.search.mixed.depth} that nobody has measured with these data and settings "
            f"({plan.folder})",
            "a student that a search has looked at; data that have changed make another of it",
            "submit the same command without --resolve",
        )
    assignments = _assignments(job, plan, read_sensitivities(plan.folder))
    _, document = bit_document(plan.name, assignments, _budget(job))
    log.info(f"\n{text_table(bit_table(document))}\n")
    return {"status": "finished", **document}


def _planned(job: OpenedJob[OseSearchJob]) -> MixedBitsPlan:
    config, mixed = job.config, job.config.search.mixed
    plain = StudentConfig(scheme=PLAIN, depth=mixed.depth, distil=config.search.distil)
    plain = as_decided(plain, config.recipe)
    (maps,) = layer_maps([plain], job.model_config)
    key = config_hash(trials_key(job), "sensitivities", decisions(plain), decisions(mixed, without=["max_mib"]))
    key = config_hash(key, config.search.steps[-1], config.seed)
    folder, run_key = job.storage.trials(trials_key(job)) / key, config_hash(key, mixed.max_mib)
    return MixedBitsPlan(
        key=key,
        run_key=run_key,
        name=config.search.name or run_key,
        folder=folder,
        student=plan_student(config, plain, maps, key=key, seed=config.seed, shows_seed=False, folder=folder),
    )


def _assignments(job: OpenedJob[OseSearchJob], plan: MixedBitsPlan, found: Sequence[Sensitivity]) -> BitAssignments:
    maps = plan.student.encoder_map, plan.student.decoder_map
    model, _ = cut_student(random_weights(job.model_config), maps, 1.0)
    return BitAssignments(job.config.search.mixed, job.config.recipe.quantization, model, found)


def _budget(job: OpenedJob[OseSearchJob]) -> int:
    """In bytes."""
    return round(job.config.search.mixed.max_mib * MIB)


def _finished(job: OpenedJob[OseSearchJob], name: str, best: Assigned, document: dict[str, Any]) -> FinishedSearch:
    config = job.config
    return FinishedSearch(
        name=name,
        kind=config.search.kind,
        data=job.task.fingerprint,
        task=config.task.name,
        recipe=config_hash(decisions(config.recipe)),
        students=[to_dict(best.student)],
        document=document,
    )


def planned(job: OpenedJob[OseSearchJob]) -> dict[str, Any]:
    """What `run` would look at: groups of modules, numbers of bits, passes over the calibration examples."""
    mixed = job.config.search.mixed
    check_steps(job.config, job.task.split("train").lengths())
    scheme = mixed_scheme(mixed, job.config.recipe.quantization, mixed.bits[0], mixed.bits[0])
    groups = block_parts(sites_of(meta_model(job.model_config)), scheme)
    return {"search": job.config.search.name, "student": mixed.depth, "steps": job.config.search.steps[-1]} | {
        "teacher_groups": len(groups),
        "passes_of_a_group": len(mixed.bits),
    }


def _measure(job: OpenedJob[OseSearchJob], plan: StudentPlan) -> None:
    teacher_result = fine_tune.run(job.config, job.storage, job.task)
    work = SensitivityWork(
        config=job.config,
        task=job.task,
        teacher_folder=Path(teacher_result.folder),
        student=plan,
        training_tokens=training_tokens(job, teacher_result),
        folder=plan.folder,
    )
    run_workers(
        measure_sensitivities,
        work,
        job.config.cluster,
        name=f"sensitivities-{plan.key}",
        storage_path=job.storage.root / "ray",
    )


def _start_run(job: OpenedJob[OseSearchJob], key: str) -> Run:
    config = job.config
    spec = RunSpec(
        name=f"search {config.task.name} {config.model.name} mixed bits",
        key=key,
        kind="search",
        params=common_params(config),
        tags={**common_tags(config), "dq.recipe": config.recipe.name, "dq.data": job.task.fingerprint},
    )
    return start_run(config, spec)
