"""Let a student answer a text, a file of texts, or stdin: summaries, answers, translations or labels.

Answers go to stdout, one a line. With output=FILE they go there, and stdout gets a JSON document as from every job.
"""

import sys

from pipeline.stages import generate_job
from pipeline.stages.command import main

if __name__ == "__main__":
    sys.exit(main("generate", __doc__, generate_job.run, has_document=generate_job.has_document))
