"""What the workers of a cohort do: train it on one teacher pass; pack, evaluate and export each student."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import torch

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import to_yaml
from pipeline.data.tokenise import load_tokenised
from pipeline.evaluation.metrics import HEADLINES
from pipeline.export.package import PackageInfo, file_bytes, load_package, write_package
from pipeline.models.load import load_model
from pipeline.models.student import meta_model, sites_of
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.footprint import paper_bytes
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import NOT_QUANTIZED
from pipeline.stages.evaluate import (
    PREDICTIONS,
    evaluate_examples,
    evaluation_examples,
    metric_tags,
    write_predictions,
)
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.runs import common_params, common_tags, open_tracker, start_run
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.export import export_student, exported_scores
from pipeline.stages.sweep.student.log_model import logged_model_or_warning
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.speed import speed_metrics
from pipeline.stages.sweep.student.start import prepared_student, student_learner
from pipeline.stages.sweep.train.early_stopping import stopping_checks
from pipeline.stages.sweep.train.prune_heads import read_heads
from pipeline.stages.teacher.fine_tune import TeacherResult
from pipeline.stages.training import (
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.storage.atomic import atomic_folder, atomic_json
from pipeline.tracking.run import NoOpRun, Run
from pipeline.tracking.tracker import RunSpec
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, gather_objects, rank
from pipeline.training.loop import Learner

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CohortWork:
    """What the workers of a cohort are sent.

    Args:
        config: the job.
        task: its data.
        name: of the cohort, for people.
        teacher_result: the fine-tuned teacher.
        students: the cohort.
        already_done: keys of students that take part only because their cohort goes on from a checkpoint.
        training_tokens: folder of the split that they are trained on.
        checkpoints: folder of the cohort's checkpoints.
        parent_run_id: run of the sweep.
    """

    config: SweepJob
    task: PreparedTask
    name: str
    teacher_result: TeacherResult
    students: list[StudentPlan]
    already_done: frozenset[str]
    training_tokens: Path
    checkpoints: Path
    parent_run_id: str


def train_students(work: CohortWork) -> None:
    """Worker: train this rank's share of a cohort, then pack and evaluate every student that is left."""
    config, task, plans, teacher_result = work.config, work.task, work.students, work.teacher_result
    tokenizer, device, train = task.tokenizer(), worker_device(config.cluster), config.student
    teacher = load_model(Path(teacher_result.folder), device)
    split = load_tokenised(work.training_tokens, "train")
    batches, unsharded_batches = (
        training_batches(split, train, config, tokenizer, teacher.config, plans[0].seed, sharded)
        for sharded in (True, False)
    )
    num_steps = num_training_steps(batches, train)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(NoOpRun() if plan.key in work.already_done else _start_run(work, plan))
            for plan in plans
        ]
        learners = [
            student_learner(config, plan, teacher, run, unsharded_batches, num_steps)
            for plan, run in zip(plans, runs, strict=True)
        ]
        train_with_checkpoints(
            learners,
            batches,
            num_steps,
            train,
            stage=work.name,
            folder=work.checkpoints,
            device=device,
            at_check=stopping_checks(config, task, plans, learners, teacher, num_steps),
            teacher_pass=teacher_pass(teacher, [learner.objective for learner in learners], config.cluster.precision),
        )
        for plan, learner, run in zip(plans, learners, runs, strict=True):
            if plan.key in work.already_done:
                continue
            _pack(config, plan, learner, teacher, tokenizer)
            if learner.failure is not None:
                _log_once(f"student {plan.name} FAILED: {learner.failure}", logging.ERROR)
            if not learner.active:
                continue
            _evaluate(config, plan, run, task, teacher_result, teacher, num_steps)
    Checkpointer(work.checkpoints).clear()


def _evaluate(
    config: SweepJob,
    plan: StudentPlan,
    run: Run,
    task: PreparedTask,
    teacher_result: TeacherResult,
    teacher: PreTrainedModel,
    num_steps: int,
) -> None:
    """Score the package on disk and end the student's run; a failure of the next student is not its own."""
    packed = plan.packed_folder
    model, info = load_package(packed)
    model, tokenizer, examples = model.to(teacher.device), task.tokenizer(), evaluation_examples(task, config)
    scores, predictions = evaluate_examples(model, tokenizer, examples, config, task.labels)
    shapes = (teacher.config, model.config)
    metrics = _headline_metrics(config, plan, scores, packed, teacher_result, shapes, info.heads)
    best = HEADLINES[config.task.metric]
    _log_once(f"student {plan.name}: {best} {scores[best]:.2f}, {metrics['size_bytes']:.0f} bytes")
    run.metrics(metrics, num_steps)
    run.tags(metric_tags(examples, config))
    if rank() == 0:
        _record(config, run, packed, examples, predictions)
    barrier()  # the others have nothing to do while times are taken
    more: dict[str, float] = {}
    if rank() == 0:
        graphs, more = export_student(packed, teacher_result.size_bytes, plan.name)
        more |= speed_metrics(model, graphs, teacher, examples, tokenizer.pad_token_id, config)
        del graphs
    barrier()
    more |= exported_scores(packed, examples, config, predictions)
    if rank() == 0:
        metrics |= more
        run.metrics(more, num_steps)
        atomic_json(packed.parent / "result.json", {"name": plan.name, "metrics": metrics})
    run.close()
    if rank() == 0:  # after the results: what fails here is tried again when all students are done
        assert run.run_id is not None
        logged_model_or_warning(open_tracker(config), run.run_id, packed, examples, plan.name)
    barrier()


def _record(config: SweepJob, run: Run, packed: Path, examples: datasets.Dataset, predictions: list[str]) -> None:
    """What a student is and says, in its folder and in its run."""
    write_predictions(packed.parent / PREDICTIONS, examples, predictions)
    run.artifacts(packed.parent / PREDICTIONS)
    run.table(_samples(examples, predictions, config.evaluation.num_samples), "samples.json")


def _pack(
    config: SweepJob,
    plan: StudentPlan,
    learner: Learner,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Convert a replica of the trained student and write it as a package; frees the engine.

    The last update may have made a weight infinite, which no loss has seen: such a student fails here.
    """
    if not learner.active:
        return
    state = learner.engine.whole_state()  # on rank 0
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken := gather_objects(broken)[0]:
        learner.fail(f"non-finite {broken[0]} after the last optimiser step")
        return
    learner.engine.close()
    if rank() == 0:
        student = prepared_student(plan, teacher)
        student.load_state_dict(state)  # learned scales are part of it
        convert(
            student.to(teacher.device), sites_of(student), plan.scheme
        )  # grids of the device that it was trained on
        info = PackageInfo(
            scheme=plan.scheme,
            encoder_map=plan.encoder_map,
            decoder_map=plan.decoder_map,
            heads=read_heads(plan.start_folder),
            decoding=config.task.decoding,
            source_prefix=config.task.source_prefix,
            source_language=config.task.source_language,
            target_language=config.task.target_language,
            max_source_tokens=config.task.max_source_tokens,
        )
        with atomic_folder(plan.packed_folder) as partial:
            write_package(partial, student, tokenizer, info)
    barrier()


def _headline_metrics(
    config: SweepJob,
    plan: StudentPlan,
    scores: dict[str, float],
    packed: Path,
    teacher: TeacherResult,
    shapes: tuple[PretrainedConfig, PretrainedConfig],
    heads: dict[str, list[int]],
) -> dict[str, float]:
    """Scores and sizes of a student: bytes on disk, and the papers' formula beside them.

    `shapes` are the configurations of teacher and student.
    """
    scheme, size_bytes, best = plan.scheme, file_bytes(packed), HEADLINES[config.task.metric]
    head_bits = scheme.embedding_bits if scheme.quantization.lm_head else NOT_QUANTIZED
    bytes_of_paper = _size_in_papers(shapes[1], heads, scheme.weight_bits, scheme.embedding_bits, head_bits)
    metrics = {f"{config.evaluation.split}_{name}": value for name, value in scores.items()} | {
        "size_bytes": float(size_bytes),
        "size_ratio": teacher.size_bytes / size_bytes,
        f"{best}_lost": teacher.scores[best] - scores[best],
    }
    if not scheme.quantization.bits:  # the papers' formula knows one number of bits for all linear layers
        paper_ratio = _size_in_papers(shapes[0], {}, 32, 32, 32) / bytes_of_paper
        metrics |= {"paper_bytes": bytes_of_paper, "paper_ratio": paper_ratio}
    return metrics


def _size_in_papers(model_config: PretrainedConfig, heads: dict[str, list[int]], *bits: float) -> float:
    model = meta_model(model_config)
    remove_heads(model, sites_of(model), heads)
    return paper_bytes(model, sites_of(model), *bits)


def _samples(examples: datasets.Dataset, predictions: list[str], num: int) -> dict[str, list[str]]:
    """The first predictions beside sources and references."""
    few = examples.select(range(min(num, len(examples))))
    return {"source": few["source"][:], "reference": few["target"][:], "prediction": predictions[: len(few)]}


def _log_once(text: str, level: int = logging.INFO) -> None:
    if rank() == 0:
        log.log(level, text)


def _start_run(work: CohortWork, plan: StudentPlan) -> Run:
    config, teacher = work.config, work.teacher_result
    tags = {"dq.teacher_run": teacher.run_id or "", "dq.data": work.task.fingerprint, **common_tags(config)}
    tags["dq.group"] = plan.group
    of_grid = plan.config.label in config.sweep.recipes
    tags["dq.recipe"] = plan.config.label if of_grid else f"{config.recipe.name} {plan.config.label}".strip()
    spec = RunSpec(
        name=plan.name,
        key=plan.key,
        kind="student",
        parent_run_id=work.parent_run_id,
        params={
            **common_params(config, without=("sweep",)),
            **{name: value for name, value in asdict(plan.config).items() if value is not None},
            "seed": plan.seed,
            "recipe": {**asdict(plan.recipe), "name": tags["dq.recipe"]},
            "encoder_map": plan.encoder_map,
            "decoder_map": plan.decoder_map,
            "teacher_key": teacher.key,
        },
        config=to_yaml(config),
        tags=tags,
    )
    return start_run(config, spec)
