"""`python infra/check`."""

import sys
from pathlib import Path

# The code that lies beside this file is run, whatever is installed; `pipeline` is found, too, and never imported.
sys.path[:1] = [str(Path(__file__).resolve().parents[2])]

if __name__ == "__main__":
    from infra.check.command import main

    sys.exit(main())
