"""Stage: what comes after a student's package: scores, graphs, times, its logged model, the end of its run."""

from __future__ import annotations

from pipeline.stages.evaluate import metric_tags
from pipeline.stages.runs import open_tracker
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.export import export_student, exported_scores
from pipeline.stages.sweep.student.log_model import logged_model_or_warning
from pipeline.stages.sweep.student.score import Evaluation, record_student, score_student
from pipeline.stages.sweep.student.speed import speed_metrics
from pipeline.storage.atomic import atomic_json
from pipeline.tracking.run import Run
from pipeline.training.collective import barrier, rank


def finish_student(plan: StudentPlan, evaluation: Evaluation, run: Run, num_steps: int) -> None:
    """Score, export, time and log the package on disk, and end its run: what the next student fails at is not its own.

    Every rank calls it; what rank 0 does alone, the others wait for.

    Args:
        plan: the student, whose package is there.
        evaluation: what it is scored on, and beside whom.
        run: its run.
        num_steps: optimiser steps that it has made.
    """
    config, examples, metrics = evaluation.config, evaluation.examples, dict[str, float]()
    scored = score_student(plan, evaluation)
    run.metrics(scored.metrics, num_steps)
    run.tags(metric_tags(examples, config))
    if rank() == 0:
        record_student(plan, scored, evaluation, run)
    barrier()  # the others have nothing to do while times are taken
    if rank() == 0:
        graphs, metrics = export_student(plan, evaluation)
        metrics |= speed_metrics(scored.model, graphs, evaluation)
        del graphs
    barrier()
    metrics |= exported_scores(plan, evaluation, scored.predictions)
    if rank() == 0:
        run.metrics(metrics, num_steps)
        atomic_json(plan.folder / "result.json", {"name": plan.name, "metrics": scored.metrics | metrics})
    run.close()
    if rank() == 0:  # after the results: what fails here is tried again when all students are done
        assert run.run_id is not None
        logged_model_or_warning(open_tracker(config), run.run_id, plan.packed_folder, examples, plan.name)
    barrier()
