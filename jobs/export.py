"""Export a student to graphs for ONNX Runtime with its real bits: a folder that runs without torch."""

import sys

from pipeline.stages import export_job
from pipeline.stages.command import main

if __name__ == "__main__":
    sys.exit(main("export", __doc__, export_job.run))
