"""The run of a trial in MLflow: its name, its settings, its costs."""

from __future__ import annotations

from dataclasses import asdict

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.load import to_yaml
from pipeline.search.cover import Cost
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.search.space import TrialPlan
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec


def trial_run(plan: TrialPlan, config: OseSearchJob, data: str, cost: Cost, parent_run_id: str) -> Run:
    """Start the run of a trial below that of its search, or go on with it; every rank calls it.

    Args:
        plan: the trial.
        config: the job.
        data: fingerprint of the examples.
        cost: of its point.
        parent_run_id: of the search.
    """
    own = asdict(plan.student.config) if plan.student is not None else {}
    if plan.model is not None:
        own = {"architecture": asdict(plan.model.architecture)}
    run = start_run(
        config,
        RunSpec(
            name=plan.name,
            key=plan.key,
            kind="candidate",
            parent_run_id=parent_run_id,
            params={
                **common_params(config, without=("search", "teacher")),
                **{name: value for name, value in own.items() if value is not None},
                "seed": plan.seed,
                "learning_rate": plan.learning_rate,
            },
            config=to_yaml(config),
            tags={"dq.data": data, **common_tags(config), "dq.point": plan.point},
        ),
    )
    run.metrics({"size": float(cost.size), "inference": float(cost.inference)}, 0)
    return run
