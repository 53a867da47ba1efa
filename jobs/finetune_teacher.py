"""Fine-tune a teacher on a task (or pre-train it by denoising) and keep the best checkpoint."""

import sys

from pipeline.stages import teacher_job
from pipeline.stages.command import main

if __name__ == "__main__":
    sys.exit(main("finetune_teacher", __doc__, teacher_job.run))
