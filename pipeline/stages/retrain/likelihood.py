"""Whether the champion's teacher finds the new targets likelier than their neighbours': a shifted file shows here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np

from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.data.corpora import Corpus
from pipeline.data.tokenise import load_tokenised, tokenise
from pipeline.evaluation.predict import target_probabilities
from pipeline.models.load import load_model
from pipeline.retraining.likelihood import Likelihoods, other_targets
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.retrain.data import Row, pairs_of
from pipeline.stages.training import worker_device
from pipeline.storage.sealed_json import found_json, sealed_json
from pipeline.training.collective import gather_objects, rank, world_size

FILE, TRUE, SHIFTED = "likelihood.json", "true", "shifted"


@dataclass(frozen=True, kw_only=True)
class LikelihoodWork:
    """What workers are sent."""

    config: SweepJob
    teacher: Path
    tokens: Path
    folder: Path


def run(
    config: SweepJob, task: PreparedTask, teacher: Path, rows: Sequence[Row], folder: Path, storage_path: Path
) -> Likelihoods:
    """What the teacher says of targets, and of those of other examples in their place.

    Args:
        config: the night's sweep.
        task: its data, for tokenizer and labels.
        teacher: folder of the champion's teacher.
        rows: new examples.
        folder: where they are kept.
        storage_path: that all nodes share.
    """
    if (found := found_json(folder / FILE, "the teacher is asked again")) is None:
        places = other_targets(pairs_of(rows))
        splits = {
            TRUE: [rows[place] for place, _ in places],
            SHIFTED: [{**rows[place], "target": rows[other]["target"]} for place, other in places],
        }
        if not places:
            return Likelihoods(true_nll=[], shuffled_nll=[])
        columns = [name for name in ("source", "second", "target") if rows and rows[0].get(name) is not None]
        named = {
            name: datasets.Dataset.from_dict({column: [row[column] for row in part] for column in columns})
            for name, part in splits.items()
        }
        tokens = folder / "alignment"
        tokenise(Corpus(splits=named, fingerprint=""), config.task, task.tokenizer(), tokens, task.labels)
        work = LikelihoodWork(config=config, teacher=teacher, tokens=tokens, folder=folder)
        run_workers(
            measure,
            work,
            config.cluster,
            name=f"alignment-{folder.parent.name}-{folder.name}",
            storage_path=storage_path,
        )
        found = found_json(folder / FILE, "the night ends")
        assert found is not None, "workers have written it"
    labels = (
        [rows[place]["target"] for place, _ in other_targets(pairs_of(rows))] if config.task.facts.has_labels else None
    )
    return Likelihoods(true_nll=found[TRUE], shuffled_nll=found[SHIFTED], labels=labels)


def measure(work: LikelihoodWork) -> None:
    """Worker: this rank's share of both."""
    model = load_model(work.teacher, worker_device(work.config.cluster))
    model.eval()
    found = {}
    for name in (TRUE, SHIFTED):
        likely = target_probabilities(
            model,
            load_tokenised(work.tokens, name).examples,
            batch_tokens=work.config.evaluation.batch_tokens,
            rank=rank(),
            num_ranks=world_size(),
            gather=gather_objects,
        )
        found[name] = [float(one) for one in -np.log(np.maximum(likely, 1e-30))]
    if rank() == 0:
        sealed_json(work.folder / FILE, found)
