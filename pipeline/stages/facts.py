"""What was run, for the heads of reports."""

from __future__ import annotations

from datetime import datetime

from pipeline import WRITTEN_BY
from pipeline.config.jobs import TrainsTeacher
from pipeline.tracking.lineage import lineage


def common_facts(config: TrainsTeacher, fingerprint: str, run_id: str) -> dict[str, str]:
    """Name -> text; without those that say nothing.

    Args:
        config: the job.
        fingerprint: of its data.
        run_id: of its run.
    """
    facts = {
        "task": config.task.name,
        "teacher": config.model.name,
        "experiment": config.experiment or "",
        "data": fingerprint,
        "seed": str(config.seed),
        "run": run_id,
        "git commit": lineage().get("mlflow.source.git.commit", "unknown"),
        "written by": WRITTEN_BY,
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    }
    return {name: text for name, text in facts.items() if text}
