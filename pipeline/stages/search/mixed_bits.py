"""Stage: bits of one student module by module: what each does to the loss, and the best assignment within a budget."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_train import run_workers
from pipeline.config.build import to_dict
from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.sweep import StudentConfig
from pipeline.console.tables import text_table
from pipeline.models.student import meta_model, sites_of
from pipeline.quantization.one_at_a_time import block_parts
from pipeline.stages.finished_search import FinishedSearch, write_finished
from pipeline.stages.job import OpenedJob
from pipeline.stages.random_students import cut_student, random_weights
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.search.bit_assignments import MIB, BitAssignments, mixed_scheme
from pipeline.stages.search.bit_report import bit_document, bit_table, write_bit_report
from pipeline.stages.search.measure_sensitivity import FILE, SensitivityWork, measure_sensitivities, read_sensitivities
from pipeline.stages.search.space import trials_key
from pipeline.stages.search.training_texts import check_steps, training_tokens
from pipeline.stages.sweep.plan.students import StudentPlan, as_decided, layer_maps, plan_student
from pipeline.stages.teacher import fine_tune
from pipeline.storage.lease import lease
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

PLAIN = "32-32-32"

log = logging.getLogger(__name__)


def run(job: OpenedJob[OseSearchJob], *, measures: bool = True) -> dict[str, Any]:
    """Train the student in full precision for the steps of the search, measure, and assign bits.

    Args:
        job: the job.
        measures: whether what nobody has measured is measured now; else that is an error.

    Returns:
        the document printed by the job.

    Raises:
        UserError: a budget that even the fewest bits exceed, a student that diverged.
    """
    config, mixed = job.config, job.config.search.mixed
    plain = StudentConfig(scheme=PLAIN, depth=mixed.depth, distil=config.search.distil)
    plain = as_decided(plain, config.recipe)
    (maps,) = layer_maps([plain], job.model_config)
    key = config_hash(trials_key(job), "sensitivities", decisions(plain), decisions(mixed, without=["max_mib"]))
    key = config_hash(key, config.search.steps[-1], config.seed)
    folder, run_key = job.storage.trials(trials_key(job)) / key, config_hash(key, mixed.max_mib)
    name = config.search.name or run_key
    if not measures and not (folder / FILE).is_file():
        raise UserError(
            f"sensitivities of {mixed.depth} that nobody has measured with these data and settings ({folder})",
            "a student that a search has looked at; data that have changed make another of it",
            "submit the same command without --resolve",
        )
    with lease(folder, f"sensitivities {key}"), _start_run(job, run_key) as parent:
        if not (folder / FILE).is_file():
            _measure(job, plan_student(config, plain, maps, key=key, seed=config.seed, shows_seed=False, folder=folder))
        found = read_sensitivities(folder)
        model, _ = cut_student(random_weights(job.model_config), maps, 1.0)
        assignments = BitAssignments(mixed, config.recipe.quantization, model, found)
        best, document = bit_document(name, assignments, round(mixed.max_mib * MIB))
        finished = job.storage.search(name)
        report = write_bit_report(finished / "report", found, best, document)
        parent.artifacts(report, "report")
        parent.metrics({"bytes": float(best.size_bytes), "error": best.loss}, 0)
        parent.tags({"mlflow.note.content": (report / "results.md").read_text(encoding="utf-8")})
        write_finished(
            finished,
            FinishedSearch(
                name=name,
                kind=config.search.kind,
                data=job.task.fingerprint,
                task=config.task.name,
                recipe=config_hash(decisions(config.recipe)),
                students=[to_dict(best.student)],
                document=document,
            ),
        )
    log.info(f"\n{text_table(bit_table(document))}\n\nreport: {report / 'results.md'}")
    return {"status": "finished", "run_id": parent.run_id, "report": str(report), **document}


def planned(job: OpenedJob[OseSearchJob]) -> dict[str, Any]:
    """What `run` would look at: groups of modules, numbers of bits, passes over the calibration examples."""
    mixed = job.config.search.mixed
    scheme = mixed_scheme(mixed, job.config.recipe.quantization, mixed.bits[0], mixed.bits[0])
    groups = block_parts(sites_of(meta_model(job.model_config)), scheme)
    return {"search": job.config.search.name, "student": mixed.depth, "steps": job.config.search.steps[-1]} | {
        "teacher_groups": len(groups),
        "passes_of_a_group": len(mixed.bits),
    }


def _measure(job: OpenedJob[OseSearchJob], plan: StudentPlan) -> None:
    check_steps(job.config, job.task.split("train").lengths())
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
