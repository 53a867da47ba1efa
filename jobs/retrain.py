"""One night of scheduled retraining: new data, a candidate, gates; a champion that only a better model replaces."""

import sys
from typing import Any

from pipeline.config.jobs.retrain import RetrainJob
from pipeline.stages.command import main
from pipeline.stages.on_cluster import on_cluster
from pipeline.stages.retrain.precheck import check_night


def run(config: RetrainJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.retrain import job  # after the arguments: what it imports takes many seconds

    return job.run(config)


def exit_code(document: dict[str, Any]) -> int:
    """What a scheduler gets: pipeline/retraining/decisions.py says what each code means."""
    return int(document["exit_code"])


if __name__ == "__main__":
    sys.exit(main(RetrainJob, __doc__, run, check=check_night, exit_code=exit_code, place=on_cluster))
