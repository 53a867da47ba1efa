"""Train a cohort of distilled and quantised students, pack and evaluate each, and compare them in MLflow."""

import sys

from pipeline.stages import sweep_job
from pipeline.stages.command import main

if __name__ == "__main__":
    sys.exit(main("dq_sweep", __doc__, sweep_job.run, sweep_job.dry_run))
