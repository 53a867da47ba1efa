"""`python tests/chaos`."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
# As pytest finds what tests share; and the code that lies beside the tests is run, whatever is installed.
sys.path[:1] = [str(TESTS.parent), str(TESTS)]

if __name__ == "__main__":
    from chaos.command import main

    sys.exit(main())
