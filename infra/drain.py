"""Stop the jobs of the Ray head on this machine before it goes, so that they save what they train: a preStop hook.

    python infra/drain.py

Ray's own end kills drivers without asking. What is stopped here ends with exit code 75; submitted again it goes on.
"""

from __future__ import annotations

import sys
import time
from functools import partial

from submit import STOP_SECONDS, AwayError, Cluster, say

ADDRESS = "http://127.0.0.1:8265"


def main(address: str = ADDRESS) -> int:
    """Ask all, then wait for all; 0 also where there is no head any more."""
    try:
        cluster = Cluster(address, wait_seconds=0.0)
        jobs = cluster.asked(cluster.client.list_jobs)
        running = [job.submission_id for job in jobs if job.submission_id and not job.status.is_terminal()]
        for submission in running:
            say(f"{submission} is asked to stop")
            cluster.asked(partial(cluster.client.stop_job, submission))
        deadline = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < deadline:
            time.sleep(0.5)
            running = [name for name in running if not cluster.client.get_job_status(name).is_terminal()]
    except AwayError as away:
        say(str(away))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
