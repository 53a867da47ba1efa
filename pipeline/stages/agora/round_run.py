"""The run of a round in MLflow: how good every hyper-parameter set was, what was added and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.augmentation.agora import Round
from pipeline.augmentation.examples import TextExample
from pipeline.config.keys import config_hash
from pipeline.stages.agora.generate import COUNTS, write_examples
from pipeline.stages.agora.labels import DISTANCES, QUANTILES
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.runs import common_tags, open_tracker, start_run
from pipeline.storage.atomic import ASIDE
from pipeline.tracking.tracker import RunSpec

ADDED = "added.jsonl"


def log_round(plan: AgoraPlan, finished: Round, added: Sequence[TextExample], parent_run_id: str) -> None:
    """Record a round once: scores on the development set, counts, the examples that it added.

    Args:
        plan: of the job.
        finished: the round.
        added: its examples.
        parent_run_id: run of the job.
    """
    config, folder = plan.job.config, plan.round_folder(finished.number)
    write_examples(folder / ADDED, added)
    key = config_hash(plan.key, "round", finished.number)
    found = open_tracker(config).find("round", key)
    if found is not None and found.finished:
        return
    spec = RunSpec(
        name=f"round {finished.number}",
        key=key,
        kind="round",
        parent_run_id=parent_run_id,
        params={"round": finished.number, "thetas": [plan.thetas[theta].name for theta in finished.ranking]},
        tags={
            **common_tags(config),
            "dq.data": plan.job.task.fingerprint,
            "dq.contaminated": str(config.agora.contaminates and finished.number > 1).lower(),
        },
    )
    with start_run(config, spec) as run:
        scores = {
            f"development_score_theta_{t}": 100 * a for t, a in zip(finished.ranking, finished.accuracies, strict=True)
        }
        counts = {name: float(getattr(finished, name)) for name in ("num_mistakes", "num_generated", "num_added")}
        run.metrics({name: value for name, value in {**scores, **counts}.items() if not math.isnan(value)}, 0)
        counted = (path for path in folder.glob(f"*/{COUNTS}") if not path.parent.name.startswith(ASIDE))
        for path in (*(folder / name for name in (ADDED, DISTANCES, QUANTILES)), *counted):
            if path.is_file():
                run.artifacts(path)
