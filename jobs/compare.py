"""Compare two runs, or two sweeps, on the same examples: scores, size, speed, settings, and what may be chance."""

import sys
from typing import Any

from pipeline.config.jobs.compare import CompareJob
from pipeline.stages.command import main
from pipeline.stages.compare.precheck import check_comparison


def run(config: CompareJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.compare import job as compare_job  # after the arguments: what it imports takes many seconds

    return compare_job.run(config)


if __name__ == "__main__":
    sys.exit(main(CompareJob, __doc__, run, check=check_comparison))
