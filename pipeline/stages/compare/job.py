"""The job `compare`: two runs, or two sweeps student by student, on the same examples."""

from __future__ import annotations

from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.jobs.compare import CompareJob
from pipeline.stages.compare.precheck import check_comparison
from pipeline.stages.compare.runs import compare_runs
from pipeline.stages.compare.sweeps import compare_sweeps
from pipeline.stages.runs import open_tracker, tracking_uri
from pipeline.tracking.store import check_store_exists


def run(config: CompareJob) -> dict[str, Any]:
    """Print the comparison of two runs or of two sweeps.

    Returns:
        the document printed by the job.

    Raises:
        UserError: a run that does not exist or has no predictions; runs on different examples; a sweep and a run.
    """
    check_comparison(config)
    names = (config.comparison.first, config.comparison.second)
    check_store_exists(tracking_uri(config))
    tracker = open_tracker(config, retry_seconds=0.0)
    first, second = (tracker.one_run(name) for name in names)
    kinds = [found.tags.get("dq.kind", "run") for found in (first, second)]
    if kinds.count("sweep") == 1:
        raise UserError(
            f"'{first.name}', a {kinds[0]}, and '{second.name}', a {kinds[1]}",
            "two sweeps, or two runs of teachers or students",
            "name a student of the sweep, or two sweeps",
        )
    compare = compare_sweeps if kinds[0] == "sweep" else compare_runs
    return {"status": "finished", "runs": [first.run_id, second.run_id], **compare(tracker, first, second)}
