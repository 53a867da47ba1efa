"""`python -m pipeline.runtime`."""

import sys

from pipeline.runtime.command import main

if __name__ == "__main__":
    sys.exit(main())
