"""What a pre-training will do: which models, of which shape, for how many steps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.pretraining import PretrainingConfig
from pipeline.models.families import family_of
from pipeline.models.load import teacher_config
from pipeline.models.starting_point import local_folder
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import num_parameters
from pipeline.stages.prepare_data import kept_model
from pipeline.stages.pretrain.ignored import ignored
from pipeline.stages.pretrain.precheck import small_model
from pipeline.stages.pretrain.results import CURVE, RESULT, TEACHER_SCORES
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
    def parts(self) -> tuple[Path, Path, Path]:
        """All that it leaves: the model, its scores, what was seen of it on the way."""
        return self.model, self.folder / RESULT, self.folder / CURVE

    @property
    def is_done(self) -> bool:
        """Whether all of it is there, and nothing damaged."""
        return all(map(is_left_whole, self.parts))

    @property
    def distils(self) -> bool:
        """Whether it learns from the teacher."""
        return self.name == DISTILLED


@dataclass(frozen=True, kw_only=True)
class PretrainPlan:
    """A pre-training.

    Args:
        key: its name: everything that decides weights and scores, whoever is compared with whom and looked at when.
        folder: of its results.
        model: the small model before its first step.
        model_config: its configuration.
        wanted: names of the models that are asked for.
        num_steps: optimiser steps.
    """

    key: str
    folder: Path
    model: ModelConfig
    model_config: PretrainedConfig
    wanted: list[str]
    num_steps: int

    @property
    def models(self) -> list[ModelPlan]:
        """Who is wanted, trained on the same batches and from the same weights."""
        return [self.one(name) for name in self.wanted]

    @property
    def result(self) -> Path:
        """The file of the document about all that is done."""
        return self.folder / RESULT

    @property
    def done(self) -> list[str]:
        """Names of the models that are trained and scored, wanted now or before, nothing of them damaged."""
        return [name for name in (DISTILLED, ALONE) if self.one(name).is_done and is_left_whole(self.teacher_scores)]

    @property
    def left(self) -> list[str]:
        """Names of wanted models that are not done."""
        done = self.done
        return [name for name in self.wanted if name not in done]

    @property
    def teacher_scores(self) -> Path:
        """The file of the teacher's scores, which whoever trains leaves."""
        return self.folder / TEACHER_SCORES

    @property
    def parts(self) -> list[Path]:
        """Everything that can be damaged, wanted or not."""
        of_models = (part for name in (DISTILLED, ALONE) for part in self.one(name).parts)
        return [self.result, self.teacher_scores, *of_models]

    def one(self, name: str) -> ModelPlan:
        """A model by its name, wanted or not."""
        return ModelPlan(name=name, key=f"{self.key}-{name}", folder=self.folder / name)

    def document(self) -> dict[str, Any] | None:
        """The document about just the models that are done; nothing where they are not told yet."""
        if not self.done or not is_left_whole(self.result):
            return None
        document: dict[str, Any] = read_sealed_json(self.result)
        return document if list(document["folders"]) == self.done else None

    @property
    def num_parameters(self) -> int:
        """Of the small model."""
        return num_parameters(self.model_config)


def is_left_whole(part: Path) -> bool:
    """Whether a model's folder or a file of JSON is there as it was written; nothing is changed or said."""
    return part.exists() and damage_of(part) is None


def damage_of(part: Path) -> DamagedFileError | None:
    """What is wrong with a model's folder or a file of JSON that is there; none if nothing is."""
    try:
        if part.is_dir():
            check_folder(part)
        else:
            read_sealed_json(part)
    except DamagedFileError as damage:
        return damage
    return None


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
    tokenizer, own = task.tokenizer(), "pretraining."
    useless = [name.removeprefix(own) for name in ignored(config) if name.startswith(own)]
    key = config_hash(
        teacher_key(config, task),
        {"start": start, "family": model.family},
        decisions(config.pretraining, without=["start", "family", *useless]),
        decisions(config.student),
    )
    batches = training_batches(
        task.split("train"), config.student, config, tokenizer, job.model_config, config.seed, sharded=False
    )
    return PretrainPlan(
        key=key,
        folder=job.storage.pretraining(key),
        model=model,
        model_config=teacher_config(model, tokenizer, config.task),
        wanted=[DISTILLED, ALONE] if config.pretraining.compare else [DISTILLED],
        num_steps=num_training_steps(batches, config.student),
    )


def losses_of(of: PretrainingConfig) -> str:
    """What the model that has a teacher minimises, for people."""
    weights = {"CE": of.task, f"KL at T={of.temperature:g}": of.logits, "hidden": of.hidden, "relations": of.relations}
    return " + ".join(f"{weight:g} {name}" for name, weight in weights.items() if weight)


def plan_table(plan: PretrainPlan, job: OpenedJob[PretrainJob], going_on: Collection[str]) -> list[list[str]]:
    """What is announced: the teacher and who learns, their parameters, their losses.

    Args:
        plan: the plan.
        job: the job.
        going_on: names of models that continue from a checkpoint.
    """
    losses = {DISTILLED: losses_of(job.config.pretraining), ALONE: "1 CE"}
    lines = [["model", "shape", "parameters", "losses", "steps", "state"]]
    lines.append(["teacher", job.config.model.name, f"{num_parameters(job.model_config):,}", "-", "-", "-"])
    for one in plan.models:
        state = "finished" if one.name in plan.done else "continues" if one.name in going_on else "to be trained"
        number = f"{plan.num_parameters:,}"
        lines.append([one.name, plan.model.name, number, losses[one.name], str(plan.num_steps), state])
    return lines
