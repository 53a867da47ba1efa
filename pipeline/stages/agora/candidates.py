"""The learner of Agora: trains a fresh candidate for every hyper-parameter set, and knows what the best gets wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import datasets

from pipeline.augmentation.examples import TextExample
from pipeline.cluster.groups import run_side_by_side
from pipeline.cluster.ray_train import run_workers
from pipeline.config.keys import config_hash
from pipeline.stages.agora.augmented_split import augmented_split
from pipeline.stages.agora.fit_candidates import RESULT, Candidate, FitWork, fit_candidates
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.agora.points import Points
from pipeline.stages.agora.room import CANDIDATES, Cohort, cohorts_of, interrupted_cohorts
from pipeline.stages.evaluate import PREDICTIONS
from pipeline.stages.runs import open_tracker
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.storage.sealed import DamagedFileError, check_file, put_aside
from pipeline.storage.sealed_json import found_json, read_sealed_json, sealed_json

log = logging.getLogger(__name__)


class CandidateLearner:
    """See `augmentation.agora.Learner`. What was trained once, by whichever submission, is found.

    Args:
        plan: what is decided.
        teacher: the labeller, whom candidates imitate, too.
        points: chooses those that are learned from anew.
        parent_run_id: run of the job.
    """

    def __init__(self, plan: AgoraPlan, teacher: TeacherResult, points: Points, parent_run_id: str) -> None:
        self.plan, self.teacher, self.points, self.parent_run_id = plan, teacher, points, parent_run_id
        self._added: dict[int, list[TextExample]] = {}

    def fit(self, round_number: int, thetas: Sequence[int], added: Sequence[TextExample]) -> list[float]:
        """The score of every candidate on the development set, between 0 and 1; nan of one that failed."""
        self._added[round_number] = list(added)
        candidates = [self.candidate(round_number, theta) for theta in thetas]
        missing = [one for one in candidates if not is_whole(one)]
        log.info(
            f"round {round_number}: {len(candidates)} hyper-parameter sets, {len(added)} examples added; "
            f"{len(missing)} candidates to be trained"
        )
        if missing:
            self._train(round_number, candidates, added)
        tracker = open_tracker(self.plan.job.config)
        for one in candidates:
            if (found := tracker.find("candidate", one.plan.key)) is not None:
                tracker.adopt(found, self.parent_run_id)
        return [score_of(one.plan.folder) for one in candidates]

    def mistakes(self, round_number: int, theta: int) -> list[TextExample]:
        """The points that a round learns from anew: what the settings say of the best candidate."""
        return self.points.of(round_number, self.candidate(round_number, theta).plan)

    def candidate(self, round_number: int, theta: int) -> Candidate:
        """The candidate of a hyper-parameter set in a round that has begun."""
        return Candidate(
            plan=self.plan.candidate(theta, self._added[round_number]), train=self.plan.thetas[theta].train
        )

    def _train(self, round_number: int, candidates: Sequence[Candidate], added: Sequence[TextExample]) -> None:
        """Train those that are missing: a cohort that was interrupted as it was, others without those that are done."""
        plan, errors = self.plan, list[Exception]()
        tokens = augmented_split(plan, added)
        lengths = datasets.load_from_disk(str(tokens / "train"))
        sizes = list(zip(lengths["source_tokens"][:], lengths["target_tokens"][:], strict=True))
        interrupted = interrupted_cohorts(plan, candidates, sizes, plan.shared_folder / "checkpoints")
        taken = {one.plan.key for cohort in interrupted for one in cohort.candidates}
        left = [one for one in candidates if one.plan.key not in taken and not one.is_done]
        calls: dict[str, Callable[[], None]] = {}
        for number, cohort in enumerate([*interrupted, *cohorts_of(plan, left, sizes)], 1):
            name = f"round {round_number}, cohort {number}"
            calls[name] = partial(self._train_cohort, name, cohort, tokens, is_contaminated=bool(added))

        def ended(name: str, error: Exception | None) -> None:
            if error is not None:
                log.error(f"{name} failed: {type(error).__name__}: {error}")
                errors.append(error)

        run_side_by_side(calls, plan.job.config.cluster, ended)
        if errors:
            raise errors[0]

    def _checkpoints(self, candidates: Sequence[Candidate]) -> Path:
        return self.plan.shared_folder / "checkpoints" / config_hash([one.plan.key for one in candidates])

    def _train_cohort(self, name: str, cohort: Cohort, tokens: Path, *, is_contaminated: bool) -> None:
        plan, config, candidates = self.plan, self.plan.job.config, cohort.candidates
        keys = [one.plan.key for one in candidates]
        work = FitWork(
            config=config,
            task=plan.job.task,
            name=name,
            teacher_result=self.teacher,
            start=plan.start,
            candidates=candidates,
            training_tokens=tokens,
            already_done=frozenset(one.plan.key for one in candidates if one.is_done),
            is_contaminated=is_contaminated and config.agora.contaminates,
            checkpoints=self._checkpoints(candidates),
            parent_run_id=self.parent_run_id,
        )
        sealed_json(work.checkpoints / CANDIDATES, keys)  # who resubmits the job goes on with just these
        try:
            run_workers(
                fit_candidates,
                work,
                config.cluster,
                name=f"agora-{config_hash(keys)}",
                storage_path=plan.job.storage.root / "ray",
                memory_bytes=cohort.memory_bytes,
            )
        except BaseException as error:  # a worker that was killed could not say so itself
            for key in keys:
                open_tracker(config).fail_if_running("candidate", key, f"{type(error).__name__}: {error}")
            raise


def is_whole(candidate: Candidate) -> bool:
    """Whether its score on the development set is written down, or that it failed.

    Where that, or what it said, is damaged, it is set aside: the candidate is trained again.
    """
    folder, otherwise = candidate.plan.folder, f"candidate {candidate.plan.name} is trained again"
    if (found := found_json(folder / RESULT, otherwise)) is None:
        return False
    if (sha256 := found.get("predictions")) is not None:
        try:
            check_file(folder, PREDICTIONS, sha256)
        except DamagedFileError as damage:
            put_aside(damage, folder / RESULT, otherwise)
            return False
    return True


def score_of(folder: Path) -> float:
    """The score on the development set that is written in a candidate's folder, between 0 and 1; nan: it failed."""
    score = read_sealed_json(folder / RESULT)["score"]
    return math.nan if score is None else float(score) / 100
