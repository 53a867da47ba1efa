"""Settings of a pre-training that others make useless."""

from __future__ import annotations

from pipeline.config.jobs.bort_pretrain import PretrainJob


def ignored(config: PretrainJob) -> dict[str, str]:
    """Dotted name of a setting, or of a section -> what makes it useless."""
    of, found = config.pretraining, dict[str, str]()
    if of.start:
        found["pretraining.architecture"] = "pretraining.start, which has its own"
    if of.logits == 0:
        found["pretraining.temperature"] = "pretraining.logits=0"
    if of.relations == 0:
        found["pretraining.relation_heads"] = "pretraining.relations=0"
    if of.task == 0 and not of.compare:
        found["student.label_smoothing"] = "pretraining.task=0"
    return found
