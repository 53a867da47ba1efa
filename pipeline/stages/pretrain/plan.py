"""What a pre-training will do: which models, of which shape, for how many steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.model import ModelConfig
from pipeline.models.families import family_of
from pipeline.models.load import teacher_config
from pipeline.models.starting_point import local_folder
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import num_parameters
from pipeline.stages.prepare_data import kept_model
from pipeline.stages.pretrain.precheck import small_model
from pipeline.stages.teacher.fine_tune import teacher_key
from pipeline.stages.training import num_training_steps, training_batches
from pipeline.storage.sealed import DamagedFileError, check_folder
from pipeline.storage.sealed_json import read_sealed_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig

DISTILLED, ALONE = "distilled", "alone"


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """One of the models that are pre-trained: with the teacher, or without.

    Args:
        name: which of them.
        key: of its run.
        folder: of its results.
    """

    name: str
    key: str
    folder: Path

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.folder / "model"

    @property
    def distils(self) -> bool:
        """Whether it learns from the teacher."""
        return self.name == DISTILLED


@dataclass(frozen=True, kw_only=True)
class PretrainPlan:
    """A pre-training.

    Args:
        key: its name: everything that decides weights, scores and what is compared.
        folder: of its results.
        model: the small model before its first step.
        model_config: its configuration.
        models: who is trained, on the same batches and from the same weights.
        num_steps: optimiser steps.
    """

    key: str
    folder: Path
    model: ModelConfig
    model_config: PretrainedConfig
    models: list[ModelPlan]
    num_steps: int

    @property
    def result(self) -> Path:
        """The file that is there when all is done."""
        return self.folder / "result.json"

    def read_result(self) -> dict[str, Any] | None:
        """The document of a pre-training whose models are whole; nothing where it is not finished.

        Raises:
            DamagedFileError: it or a model is not what was written.
        """
        try:
            document: dict[str, Any] = read_sealed_json(self.result)
        except FileNotFoundError:
            return None
        for one in self.models:
            if not one.model.is_dir():
                raise DamagedFileError(one.model, "the pre-trained model", "no such folder")
            check_folder(one.model)
        return document

    @property
    def is_finished(self) -> bool:
        """Whether it lies finished and whole in its folder."""
        try:
            return self.read_result() is not None
        except DamagedFileError:
            return False

    @property
    def num_parameters(self) -> int:
        """Of the small model."""
        return num_parameters(self.model_config)


def plan_pretraining(job: OpenedJob[PretrainJob], *, copies: bool = True) -> PretrainPlan:
    """The plan of a job.

    Args:
        job: the job.
        copies: whether a folder to start from is copied to where workers find it.

    Raises:
        UserError: a small model that cannot be built or read.
    """
    config, task = job.config, job.task
    model, start = small_model(config, family_of(job.model_config).name), "scratch"
    if model.pretrained:
        start, folder = f"hub:{model.pretrained}", local_folder(model.pretrained, "pretraining.start")
        if folder is not None:
            kept, digest = kept_model(folder, job.storage, copies=copies)
            model, start = replace(model, name=folder.name, pretrained=str(kept)), f"folder:{digest}"
    tokenizer = task.tokenizer()
    key = config_hash(
        teacher_key(config, task),
        {"start": start, "family": model.family},
        decisions(config.pretraining, without=["start", "family", *(["architecture"] if model.pretrained else [])]),
        decisions(config.student),
    )
    folder = job.storage.pretraining(key)
    names = [DISTILLED, ALONE] if config.pretraining.compare else [DISTILLED]
    batches = training_batches(
        task.split("train"), config.student, config, tokenizer, job.model_config, config.seed, sharded=False
    )
    return PretrainPlan(
        key=key,
        folder=folder,
        model=model,
        model_config=teacher_config(model, tokenizer, config.task),
        models=[ModelPlan(name=name, key=f"{key}-{name}", folder=folder / name) for name in names],
        num_steps=num_training_steps(batches, config.student),
    )


def plan_table(plan: PretrainPlan, job: OpenedJob[PretrainJob]) -> list[list[str]]:
    """What is announced: the teacher and who learns, their parameters, their losses."""
    of, is_done = job.config.pretraining, plan.is_finished
    weights = {"CE": of.task, f"KL at T={of.temperature:g}": of.logits, "hidden": of.hidden, "relations": of.relations}
    losses = {
        DISTILLED: " + ".join(f"{weight:g} {name}" for name, weight in weights.items() if weight),
        ALONE: "1 CE",
    }
    lines = [["model", "shape", "parameters", "losses", "steps", "state"]]
    lines.append(["teacher", job.config.model.name, f"{num_parameters(job.model_config):,}", "-", "-", "-"])
    for one in plan.models:
        state = "finished" if is_done else "to be trained"
        number = f"{plan.num_parameters:,}"
        lines.append([one.name, plan.model.name, number, losses[one.name], str(plan.num_steps), state])
    return lines
