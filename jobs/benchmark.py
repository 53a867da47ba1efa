"""Measure what the project claims about its own speed, side by side in one run."""

import sys

from pipeline.stages import benchmark_job
from pipeline.stages.command import main

if __name__ == "__main__":
    sys.exit(main("benchmark", __doc__, benchmark_job.run))
