"""Stage: bits of one student module by module: what each does to the loss, and the best assignment within a budget."""

from __future__ import annotations

import csv
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.ray_train import run_workers
from pipeline.config.build import to_dict
from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.sweep import StudentConfig
from pipeline.console.tables import markdown_table, text_table
from pipeline.evaluation.sensitivity import Sensitivity
from pipeline.export.package_bytes import PackageBytes, bit_choices, bytes_by_bits, package_bytes
from pipeline.models.student import meta_model, sites_of
from pipeline.quantization.bit_patterns import patterns_for
from pipeline.quantization.one_at_a_time import block_parts
from pipeline.quantization.prepare import module_bits
from pipeline.quantization.scheme import scheme_of
from pipeline.search.mixed_bits import BitAssignment, BitChoice, best_assignment
from pipeline.stages.finished_search import FinishedSearch, write_finished
from pipeline.stages.job import OpenedJob
from pipeline.stages.random_students import cut_student, random_weights
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.search.measure_sensitivity import FILE, SensitivityWork, measure_sensitivities, read_sensitivities
from pipeline.stages.search.plan import MIB
from pipeline.stages.search.space import trials_key
from pipeline.stages.sweep.plan.students import StudentPlan, as_decided, layer_maps, plan_student
from pipeline.stages.sweep.train import pseudo_labels
from pipeline.stages.teacher import fine_tune
from pipeline.storage.lease import lease
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = "32-32-32"
NUM_BUDGETS = 12  # of the front, evenly between the least and the most bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """A student with bits of its own for every module.

    Args:
        student: as a sweep trains it.
        size_bytes: of its package.
        loss: before, and what the modules add, each measured alone.
        gap: what the solver leaves open of the loss.
    """

    student: StudentConfig
    size_bytes: int
    loss: float
    gap: float


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
        sizes = bytes_by_bits(model, _scheme(config, mixed.bits[0], mixed.bits[0]), mixed.bits)
        choices, before = bit_choices(found, sizes), found[0].loss_before
        best = _assigned(config, model, sizes, choices, before, round(mixed.max_mib * MIB))
        front = _front(config, model, sizes, choices, before)
        uniform = _best_uniform(config, model, found, round(mixed.max_mib * MIB))
        document = _document(name, best, front, uniform, choices, before)
        finished = job.storage.search(name)
        report = _write_report(finished / "report", found, best, document)
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
    log.info(f"\n{text_table(_table(document))}\n\nreport: {report / 'results.md'}")
    return {"status": "finished", "run_id": parent.run_id, "report": str(report), **document}


def planned(job: OpenedJob[OseSearchJob]) -> dict[str, Any]:
    """What `run` would look at: groups of modules, numbers of bits, passes over the calibration examples."""
    mixed, scheme = job.config.search.mixed, _scheme(job.config, job.config.search.mixed.bits[0], 8)
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
        training_tokens=pseudo_labels.run(job, teacher_result, plan.sequence),
        folder=plan.folder,
    )
    run_workers(
        measure_sensitivities,
        work,
        job.config.cluster,
        name=f"sensitivities-{plan.key}",
        storage_path=job.storage.root / "ray",
    )


def _scheme(config: OseSearchJob, weights: float, embeddings: float, bits: Sequence[str] = ()) -> Any:
    quantization = replace(config.recipe.quantization, bits=list(bits))
    return scheme_of(f"{weights:g}-{embeddings:g}-{config.search.mixed.activation_bits}", quantization)


def _assigned(
    config: OseSearchJob,
    model: PreTrainedModel,
    sizes: PackageBytes,
    choices: Sequence[BitChoice],
    before: float,
    budget: int,
) -> Assigned:
    """The least loss within a budget of the whole file.

    Sizes of modules add up to some bytes more than the file has: what that leaves of the budget is spent, too, as far
    as the file then fits.

    Raises:
        UserError: a budget that even the fewest bits exceed.
    """
    least = sum(min(o.num_bytes for o in choice.options if math.isfinite(o.loss)) for choice in choices)
    fewest = _student(config, model, best_assignment(choices, least), before, budget)
    if fewest.size_bytes > budget:
        raise UserError(
            f"search.mixed.max_mib={config.search.mixed.max_mib:g}, which is {budget} bytes",
            f"{fewest.size_bytes} bytes or more, which the fewest bits take",
            f"raise search.mixed.max_mib to {math.ceil(fewest.size_bytes / MIB * 1e4) / 1e4:g}, "
            "or offer fewer bits in search.mixed.bits",
        )
    slack = sizes.rest + least - fewest.size_bytes
    for extra in (slack, slack // 2, slack // 4, 0):
        if (room := budget - sizes.rest + extra) >= least:
            found = _student(config, model, best_assignment(choices, room), before, budget)
            if found.size_bytes <= budget:
                return found
    return fewest


def _student(
    config: OseSearchJob, model: PreTrainedModel, answer: BitAssignment, before: float, budget: int
) -> Assigned:
    """The assignment as a student: the bits that most modules have are its scheme's, the others are patterns."""
    sites, mixed = sites_of(model), config.search.mixed
    of_linears = [answer.bits[name] for name in sites.linears if name in answer.bits]
    usual = max(mixed.bits, key=of_linears.count)
    table = answer.bits.get(sites.matrix_of[sites.embeddings[0]], usual)
    plain = module_bits(sites, _scheme(config, usual, table))
    entries = patterns_for(answer.bits, plain)
    scheme = _scheme(config, usual, table, entries)
    student = StudentConfig(
        scheme=scheme.name,
        depth=mixed.depth,
        label=f"mixed {budget / MIB:.3g} MiB",
        recipe={"quantization": {"bits": entries}},
    )
    return Assigned(student=student, size_bytes=package_bytes(model, scheme), loss=before + answer.loss, gap=answer.gap)


def _front(
    config: OseSearchJob,
    model: PreTrainedModel,
    sizes: PackageBytes,
    choices: Sequence[BitChoice],
    before: float,
) -> list[Assigned]:
    """The best assignments of some budgets, from the least bytes to the most; equal ones once."""
    ends = [sum(pick(o.num_bytes for o in choice.options) for choice in choices) for pick in (min, max)]
    step = (ends[1] - ends[0]) / (NUM_BUDGETS - 1)
    budgets = [sizes.rest + ends[0] + round(number * step) for number in range(NUM_BUDGETS)]
    found = {one.size_bytes: one for b in budgets for one in [_assigned(config, model, sizes, choices, before, b)]}
    return [found[size] for size in sorted(found)]


def _best_uniform(
    config: OseSearchJob, model: PreTrainedModel, found: Sequence[Sensitivity], budget: int
) -> dict[str, Any] | None:
    """Of one number of bits for all layers and one for the token table: the least loss within the budget."""
    sites, mixed, candidates = sites_of(model), config.search.mixed, []
    for weights, embeddings in itertools.product(mixed.bits, mixed.bits):
        scheme = _scheme(config, weights, embeddings)
        size, bits = package_bytes(model, scheme), module_bits(sites, scheme)
        rises = [one.rises.get(bits[one.modules[0]]) for one in found]
        known = [rise for rise in rises if rise is not None and math.isfinite(rise)]
        if size <= budget and len(known) == len(rises):
            loss = found[0].loss_before + sum(known)
            candidates.append({"scheme": scheme.name, "bytes": size, "error": loss})
    return min(candidates, key=lambda one: (one["error"], one["bytes"]), default=None)


def _document(
    name: str,
    best: Assigned,
    front: Sequence[Assigned],
    uniform: dict[str, Any] | None,
    choices: Sequence[BitChoice],
    before: float,
) -> dict[str, Any]:
    def described(one: Assigned) -> dict[str, Any]:
        student = to_dict(one.student)
        return {"name": one.student.name, "architecture": student, "bytes": one.size_bytes, "error": one.loss}

    return {
        "search": name,
        "candidates": len(choices),
        "options": sum(len(choice.options) for choice in choices),
        "error_before": before,
        "best": {**described(best), "ms": None, "W": None},
        "bound": {"gap": best.gap, "words": "errors of modules are taken to add up; each was measured alone"},
        "brute_force": None,
        "front": [described(one) for one in front],
        "uniform": uniform,
    }


def _table(document: dict[str, Any]) -> list[list[str]]:
    """Header, then the front, the answer and the best of uniform bits."""
    lines = [["bits", "MiB on disk", "expected loss", "note"]]
    for one in document["front"]:
        lines.append([one["name"], f"{one['bytes'] / MIB:.3f}", f"{one['error']:.4f}", ""])
    best, uniform = document["best"], document["uniform"]
    lines.append([best["name"], f"{best['bytes'] / MIB:.3f}", f"{best['error']:.4f}", "answer"])
    if uniform is not None:
        cells = [uniform["scheme"], f"{uniform['bytes'] / MIB:.3f}", f"{uniform['error']:.4f}"]
        lines.append([*cells, "best of uniform bits within the limit"])
    return lines


def _write_report(folder: Path, found: Sequence[Sensitivity], best: Assigned, document: dict[str, Any]) -> Path:
    """`results.md`, and `sensitivities.csv`: a line a group of modules, by how much the loss rises at which bits."""
    folder.mkdir(parents=True, exist_ok=True)
    bits = sorted(found[0].losses)
    with (folder / "sensitivities.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["modules", *(f"{count:g} bits" for count in bits)])
        writer.writerows([[" ".join(one.modules), *(one.rises[count] for count in bits)] for one in found])
    rises = [["modules", *(f"{count:g} bits" for count in bits)]]
    rises += [[one.modules[0], *(f"{one.rises[count]:+.4f}" for count in bits)] for one in found]
    entries = "\n".join(f"- `{entry}`" for entry in best.student.recipe["quantization"]["bits"]) or "- none"
    text = (
        f"# {document['search']}: bits module by module\n\n{markdown_table(_table(document))}\n\n"
        f"Loss before: {document['error_before']:.4f}. {document['bound']['words'].capitalize()}.\n\n"
        f"Bits of the answer beside its scheme {best.student.scheme}:\n\n{entries}\n\n"
        f"By how much the loss rises:\n\n{markdown_table(rises)}\n"
    )
    (folder / "results.md").write_text(text, encoding="utf-8")
    return folder


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
