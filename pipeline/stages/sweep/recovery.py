"""How much of what quantizing without training costs is won back by training."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.stages.sweep.train.run_cohorts import StudentResult


def recovered_percent(students: Sequence[StudentResult], metric: str) -> dict[str, float]:
    """Key of a trained student -> (it - untrained) / (full precision - untrained), in percent.

    Only of students whose likes, not trained and not quantized, were scored, too, and only where quantizing without
    training costs anything. Above 100: training has gained more than quantizing costs; below 0: it has cost more.

    Args:
        students: all of a sweep.
        metric: by which they are compared, the higher the better.
    """
    scores = {
        student.key: student.metrics[metric]
        for student in students
        if student.failure is None and student.stopped is None and metric in student.metrics
    }
    recovered = {}
    for student in students:
        untrained = scores.get(student.key)
        trained, whole = (scores.get(key or "") for key in (student.trained_key, student.full_precision_key))
        if untrained is None or trained is None or whole is None or student.trained_key is None:
            continue
        if (lost := whole - untrained) > 0 and student.trained_key != student.full_precision_key:
            recovered[student.trained_key] = 100 * (trained - untrained) / lost
    return recovered
