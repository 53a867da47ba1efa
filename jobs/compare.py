"""Compare two runs, or two sweeps, on the same examples: scores, size, speed, settings, and what may be chance."""

import sys

from pipeline.stages import compare_job
from pipeline.stages.command import main

if __name__ == "__main__":
    sys.exit(main("compare", __doc__, compare_job.run))
