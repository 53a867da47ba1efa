"""What the workers of a search for bits do: train the student in full precision, look at every module at all bits."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.console.progress import ProgressBar
from pipeline.data.batch import Batch, collate_rows, model_columns
from pipeline.data.batches import generation_batches
from pipeline.data.tokenise import load_tokenised
from pipeline.distillation.calibration_loss import CalibrationLoss, target_logits
from pipeline.evaluation.sensitivity import Sensitivity, sensitivities
from pipeline.models.forward import start_token
from pipeline.models.load import load_model
from pipeline.models.student import sites_of
from pipeline.quantization.one_at_a_time import block_parts
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.build import planned_student
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.start import student_learner
from pipeline.stages.training import num_training_steps, train_with_checkpoints, training_batches, worker_device
from pipeline.storage.sealed import DamagedFileError
from pipeline.storage.sealed_json import read_sealed_json, sealed_json
from pipeline.tracking.run import NoOpRun
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, rank

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel

FILE = "sensitivities.json"
REMEDY = "remove the file: the search then measures again"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SensitivityWork:
    """What these workers are sent.

    Args:
        config: the job.
        task: its data.
        teacher_folder: the teacher's weights.
        student: the student, nothing of it quantized.
        training_tokens: folder of the split that it is trained on.
        folder: where the result is written.
    """

    config: OseSearchJob
    task: PreparedTask
    teacher_folder: Path
    student: StudentPlan
    training_tokens: Path
    folder: Path


def measure_sensitivities(work: SensitivityWork) -> None:
    """Worker: train this rank's share for the steps of the search; rank 0 measures and writes the file."""
    config, train, plan = work.config, work.config.student, work.student
    tokenizer, device = work.task.tokenizer(), worker_device(config.cluster)
    teacher = load_model(work.teacher_folder, device)
    split = load_tokenised(work.training_tokens, "train")
    batches, unsharded = (
        training_batches(split, train, config, tokenizer, teacher.config, plan.seed, sharded)
        for sharded in (True, False)
    )
    num_steps = num_training_steps(batches, train)
    learner = student_learner(
        plan, teacher, config, listener=NoOpRun(), unsharded_batches=unsharded, num_steps=num_steps
    )
    checkpoints = work.folder / "checkpoints"
    train_with_checkpoints(
        [learner],
        batches,
        config.search.steps[-1],
        train,
        stage="student",
        folder=checkpoints,
        device=device,
        teacher_pass=teacher_pass(teacher, [learner.objective], config.cluster.precision),
    )
    if learner.failure is not None:
        raise UserError(f"the student diverged: {learner.failure}", "finite losses", "lower student.learning_rate")
    student = planned_student(plan, teacher, learner.engine.copy_to)
    if rank() == 0:
        found = _measure(work, student, teacher)
        sealed_json(work.folder / FILE, [_as_json(one) for one in found])
    Checkpointer(checkpoints).clear()
    barrier()


def _measure(work: SensitivityWork, student: PreTrainedModel, teacher: PreTrainedModel) -> list[Sensitivity]:
    """Cross-entropy with the references and distance to the teacher, on the first validation examples."""
    mixed, quantization = work.config.search.mixed, work.config.recipe.quantization
    scheme = scheme_of(f"{mixed.bits[0]:g}-{mixed.bits[0]:g}-{mixed.activation_bits}", quantization)
    examples = work.task.split("validation").examples
    examples = examples.select(range(min(mixed.num_examples, len(examples))))
    batches = _batches(examples, teacher, work.config.evaluation.batch_tokens)
    loss = CalibrationLoss(batches=batches, logits=1.0, teacher_logits=target_logits(teacher, batches))
    groups = block_parts(sites_of(student), scheme)
    bar = ProgressBar("sensitivities", len(groups))
    done = 0

    def measured(_: Sensitivity) -> None:
        nonlocal done
        done += 1
        bar.update(done)

    found = sensitivities(student, scheme, groups, mixed.bits, loss, activations=True, on_measured=measured)
    bar.close()
    return found


def _batches(examples: datasets.Dataset, teacher: PreTrainedModel, batch_tokens: int) -> list[Batch]:
    lengths = [s + t for s, t in zip(examples["source_tokens"][:], examples["target_tokens"][:], strict=True)]
    rows, pad, start = model_columns(examples), teacher.config.pad_token_id, start_token(teacher.config)
    (mine,) = generation_batches(lengths, batch_tokens, 1)
    return [collate_rows(rows[places], pad, start).to(teacher.device) for places in mine]


def _as_json(found: Sensitivity) -> dict[str, object]:
    return {**asdict(found), "losses": [[bits, loss] for bits, loss in found.losses.items()]}


def read_sensitivities(folder: Path) -> list[Sensitivity]:
    """What was written.

    Raises:
        UserError: a damaged file.
    """
    try:
        return [
            Sensitivity(
                modules=tuple(one["modules"]),
                losses=dict(one["losses"]),
                loss_before=one["loss_before"],
            )
            for one in read_sealed_json(folder / FILE)
        ]
    except DamagedFileError as damage:
        raise DamagedFileError(damage.file, damage.expected, damage.found, REMEDY) from None
    except (ValueError, KeyError, TypeError) as error:
        given = f"{folder / FILE}: {type(error).__name__}: {error}"
        raise UserError(given, "a file as a search has written it", REMEDY) from None
