"""Make sequence-to-sequence models small, and prove what it cost."""

import logging

# Here alone: pyproject.toml reads it, and a copy of this package knows it without being installed.
__version__ = "0.8.0"
WRITTEN_BY = f"dq-pipeline {__version__}"  # how manifests, runs and reports name what wrote them

# Who imports parts of this package is not written to: not even by the last resort that Python has for warnings.
logging.getLogger(__name__).addHandler(logging.NullHandler())
