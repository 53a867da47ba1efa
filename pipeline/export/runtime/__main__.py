"""`python -m pipeline.export.runtime`."""

import sys

from pipeline.export.runtime.command import main

if __name__ == "__main__":
    sys.exit(main())
