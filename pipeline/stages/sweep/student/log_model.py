"""A student's logged model: its package, and its graphs if it has any, where MLflow can serve them."""

from __future__ import annotations

import logging
from pathlib import Path

import datasets

from pipeline.serving.logged_models import LoggedStudent, log_student
from pipeline.serving.served_model import TEXT, TEXT_PAIR
from pipeline.stages.sweep.student.export import export_folder
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def logged_model(tracker: Tracker, run_id: str, packed: Path, examples: datasets.Dataset) -> LoggedStudent:
    """The model on a student's run, logged if it is not there; its request looks like the first example."""
    first, exported = examples[0], export_folder(packed)
    pair = {TEXT_PAIR: first["second"]} if "second" in first else {}
    graphs = exported if exported.is_dir() else None
    return log_student(tracker, run_id, packed, graphs, {TEXT: first["source"], **pair})


def logged_model_or_warning(
    tracker: Tracker, run_id: str, packed: Path, examples: datasets.Dataset, name: str
) -> LoggedStudent | None:
    """The same, but a student whose results are complete is not lost because of its model.

    Returns:
        None where it failed; the next submission tries again.
    """
    try:
        return logged_model(tracker, run_id, packed, examples)
    except Exception as error:  # servers and artifact stores have errors of their own
        log.warning(f"student {name} cannot be served yet, its model was not logged: {type(error).__name__}: {error}")
        return None
