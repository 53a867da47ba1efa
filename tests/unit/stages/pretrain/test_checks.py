"""What the data must hold before anything is trained on them."""

from types import SimpleNamespace

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.sections.task import TaskConfig
from pipeline.data.lengths import Lengths
from pipeline.stages.pretrain.checks import _check_fills_a_sequence


def job_of(num_tokens, *, packed):
    """As much of an opened job as is looked at: sequences of 32 tokens."""
    task = TaskConfig(objective="masked_lm", packed=packed, max_source_tokens=32)
    split = SimpleNamespace(lengths=lambda: Lengths(num_tokens, [1] * len(num_tokens)))
    return SimpleNamespace(config=PretrainJob(task=task), task=SimpleNamespace(split=lambda _: split))


def test_texts_that_do_not_fill_one_sequence_are_refused():
    """With both numbers; a last sequence may be short, and so may texts that are not packed."""
    with pytest.raises(UserError, match=r"training texts of 31 tokens altogether.*task.max_source_tokens=32"):
        _check_fills_a_sequence(job_of([31], packed=True))
    for num_tokens, packed in (([32], True), ([32, 5], True), ([31, 30], False)):
        _check_fills_a_sequence(job_of(num_tokens, packed=packed))
