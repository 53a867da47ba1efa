"""Stop the jobs of the Ray head on this machine before it goes, so that they save what they train: a preStop hook.

    python infra/drain.py

Ray's own end kills drivers without asking. Those here are sent SIGTERM themselves, so that Ray records how they end:
with code 75, after which KubeRay submits a RayJob again. One whose process is not known is stopped by Ray.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from functools import partial
from typing import Any

from submit import STOP_SECONDS, AwayError, Cluster, say

ADDRESS = "http://127.0.0.1:8265"


def main(address: str = ADDRESS) -> int:
    """Ask all, then wait for all; 0 also where there is no head any more."""
    try:
        cluster = Cluster(address, wait_seconds=0.0)
        running = [job for job in cluster.asked(cluster.client.list_jobs) if _is_running(job)]
        for job in running:
            say(f"{job.submission_id} is asked to stop")
            if not _asked_itself(job):
                cluster.asked(partial(cluster.client.stop_job, job.submission_id))
        deadline = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < deadline:
            time.sleep(0.5)
            running = [job for job in cluster.asked(cluster.client.list_jobs) if _is_running(job)]
    except AwayError as away:
        say(str(away))
    return 0


def _is_running(job: Any) -> bool:
    return bool(job.submission_id) and not job.status.is_terminal()


def _asked_itself(job: Any) -> bool:
    """Whether the job's driver was sent SIGTERM; it tells Ray where it is once it has connected."""
    pid = getattr(job.driver_info, "pid", None)
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        if pid:
            os.kill(int(pid), signal.SIGTERM)
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
