"""Make sequence-to-sequence models small, and prove what it cost."""

import logging

# Who imports parts of this package is not written to: not even by the last resort that Python has for warnings.
logging.getLogger(__name__).addHandler(logging.NullHandler())
