"""What Agora will do, decided before anything is trained: hyper-parameter sets, candidates, keys, folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.augmentation.examples import TextExample
from pipeline.config.changes import with_sections
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.training import TrainConfig
from pipeline.models.load import teacher_config
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import kept_model
from pipeline.stages.sweep.plan.students import LayerMaps, StudentPlan, as_decided, layer_maps, plan_student
from pipeline.stages.teacher.fine_tune import teacher_key

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class Theta:
    """A hyper-parameter set.

    Args:
        name: what differs between sets, for people.
        train: the training.
        seed: of batches and dropout.
    """

    name: str
    train: TrainConfig
    seed: int


@dataclass(frozen=True, kw_only=True)
class AgoraPlan:
    """What is decided of a job.

    Args:
        job: the job.
        key: of its run and its rounds.
        base_key: of what candidates, answers and rounds share: teacher, data, recipe, start.
        start: folder that candidates are cut from; none: the teacher.
        start_config: the configuration of what they are cut from.
        maps: layers of it that the candidate has.
        thetas: the hyper-parameter sets.
    """

    job: OpenedJob[AgoraJob]
    key: str
    base_key: str
    start: Path | None
    start_config: PretrainedConfig
    maps: LayerMaps
    thetas: list[Theta]

    @property
    def shared_folder(self) -> Path:
        """Where candidates and answers lie, whichever submission needs them."""
        return self.job.storage.agora(self.base_key)

    @property
    def folder(self) -> Path:
        """Where rounds and the report of this job lie."""
        return self.shared_folder / "runs" / self.key

    def round_folder(self, number: int) -> Path:
        """Where files of a round lie."""
        return self.folder / "rounds" / str(number)

    def candidate(self, theta: int, added: Sequence[TextExample]) -> StudentPlan:
        """The candidate of a hyper-parameter set that learns from the training split and what was added to it."""
        chosen, config = self.thetas[theta], self.job.config
        given = config.agora.candidate
        settings = (decisions(given), decisions(chosen.train), chosen.seed)
        leaks = config.agora.contaminates and bool(added)  # what a run is marked with
        key = config_hash(self.base_key, settings, digest_of(added), leaks)
        return plan_student(
            with_training(config, chosen.train),
            replace(given, label=" ".join(filter(None, (given.label, chosen.name)))),
            self.maps,
            key=key,
            seed=chosen.seed,
            shows_seed=False,
            folder=self.shared_folder / "candidates" / key,
        )


def plan_agora(job: OpenedJob[AgoraJob], *, copies: bool = True) -> AgoraPlan:
    """Decide what a job will do.

    Args:
        job: the job.
        copies: whether the folder of the candidate's start is copied to where workers find it.

    Raises:
        UserError: layers that what the candidate is cut from does not have.
    """
    config, agora = job.config, job.config.agora
    candidate = as_decided(agora.candidate, config.recipe)
    job = replace(job, config=with_sections(config, agora=replace(agora, candidate=candidate)))
    start, start_config, origin = None, job.model_config, ""
    if agora.start:
        start, origin = kept_model(Path(agora.start), job.storage, copies=copies)
        model = replace(config.model, pretrained=str(start), family=None, tokenizer=None)
        start_config = teacher_config(model, job.task.tokenizer(), config.task, job.task.labels)
    (maps,) = layer_maps([candidate], start_config)
    job, contents = _with_copies(job, copies=copies)
    base_key = config_hash(teacher_key(config, job.task), decisions(config.recipe), origin)
    by_content = ["start", "unlabelled", *contents]
    key = config_hash(base_key, decisions(job.config.agora, without=by_content), contents, decisions(config.student))
    return AgoraPlan(
        job=job,
        key=config_hash(key, config.seed, _content(config)),
        base_key=base_key,
        start=start,
        start_config=start_config,
        maps=maps,
        thetas=_thetas(config),
    )


def _with_copies(job: OpenedJob[AgoraJob], *, copies: bool) -> tuple[OpenedJob[AgoraJob], dict[str, str]]:
    """The job with copies of its generators' model folders, where every worker finds them, and what these are."""
    agora, found, contents = job.config.agora, dict[str, Any](), dict[str, str]()
    for name in ("refill_model", "there", "back"):
        given = getattr(agora, name)
        found[name], contents[name] = given, given
        if given and Path(given).is_dir():
            folder, contents[name] = kept_model(Path(given), job.storage, copies=copies)
            found[name] = str(folder)
    return replace(job, config=with_sections(job.config, agora=replace(agora, **found))), contents


def with_training(config: AgoraJob, train: TrainConfig) -> AgoraJob:
    """The job with the training of one hyper-parameter set."""
    return with_sections(config, student=train)


def digest_of(examples: Sequence[TextExample]) -> str:
    """The same for the same texts and labels in the same order, whatever they come from; nothing for none."""
    if not examples:
        return ""
    texts = [(one.source, one.second, one.target) for one in examples]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def _content(config: AgoraJob) -> str:
    """Of the file of unlabelled texts."""
    if not config.agora.unlabelled:
        return ""
    return hashlib.sha256((Path(config.data.root) / config.agora.unlabelled).read_bytes()).hexdigest()[:16]


def _thetas(config: AgoraJob) -> list[Theta]:
    sets = config.agora.theta.sets(config.student, config.seed)
    settings = [{**asdict(train), "seed": seed} for train, seed in sets]
    varied = [name for name in settings[0] if len({str(one[name]) for one in settings}) > 1]
    names = [" ".join(f"{name}={one[name]:g}" for name in varied) for one in settings]
    return [Theta(name=name, train=train, seed=seed) for name, (train, seed) in zip(names, sets, strict=True)]
