"""Search a space of architectures and bits, and say how good the answer is."""

import sys
from typing import Any

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.stages.command import main
from pipeline.stages.on_cluster import on_cluster
from pipeline.stages.search.precheck import check_search


def run(config: OseSearchJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.search import job as search_job  # after the arguments: what it imports takes many seconds

    return search_job.run(config)


def dry_run(config: OseSearchJob) -> dict[str, Any]:
    """Its plan alone."""
    from pipeline.stages.search import job as search_job

    return search_job.dry_run(config)


def resolve(config: OseSearchJob) -> dict[str, Any]:
    """An answer from what is stored."""
    from pipeline.stages.search import job as search_job

    return search_job.resolve(config)


if __name__ == "__main__":
    sys.exit(main(OseSearchJob, __doc__, run, dry_run, resolve, check=check_search, place=on_cluster))
