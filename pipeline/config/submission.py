"""Which submission of a job a process belongs to: its driver makes a name, workers are given it."""

from __future__ import annotations

import os
import uuid

VARIABLE = "DQ_SUBMISSION"


def submission() -> str:
    """The name of this submission; the first call makes it, and processes that this one starts inherit it."""
    return os.environ.setdefault(VARIABLE, uuid.uuid4().hex)


def submission_environment() -> dict[str, str]:
    """The variable for processes that are started elsewhere."""
    return {VARIABLE: submission()}
