"""Let a student answer a text, a file of texts, or stdin: summaries, answers, translations or labels.

Answers go to stdout, one a line. With output=FILE they go there, and stdout gets a JSON document as from every job.
"""

import sys
from typing import Any

from pipeline.config.jobs.generate import GenerateJob
from pipeline.stages.command import main
from pipeline.stages.use.precheck import check_generation


def run(config: GenerateJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.use import generate_job  # after the arguments: what it imports takes many seconds

    return generate_job.run(config)


def has_document(config: GenerateJob | None) -> bool:
    """Whether stdout gets the job's document: only where answers go to a file."""
    return config is not None and config.generate.output is not None


if __name__ == "__main__":
    sys.exit(main(GenerateJob, __doc__, run, has_document=has_document, check=check_generation))
