"""Export a student to graphs for ONNX Runtime with its real bits: a folder that runs without torch."""

import sys
from typing import Any

from pipeline.config.jobs.export import ExportJob
from pipeline.stages.command import main
from pipeline.stages.use.precheck import check_export


def run(config: ExportJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.use import export_job  # after the arguments: what it imports takes many seconds

    return export_job.run(config)


if __name__ == "__main__":
    sys.exit(main(ExportJob, __doc__, run, check=check_export))
