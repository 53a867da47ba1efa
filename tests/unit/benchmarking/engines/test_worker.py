"""What a worker's process makes of a model's runs."""

import numpy as np
import pytest

from pipeline.benchmarking.engines.engine import Sample
from pipeline.benchmarking.engines.worker import WARM_UP_TOKENS, sampled


class Model:
    """An engine that answers with arrays of a shape, and notes how many tokens it was asked for."""

    def __init__(self, stages, columns, fill=0.0):
        self.stages, self.columns, self.fill, self.asked = stages, columns, fill, []

    def sample(self, source, num_tokens):
        self.asked.append(num_tokens)
        ms = {stage: float(len(self.asked)) for stage in self.stages}
        return Sample(ms=ms, answer=np.full((len(source), self.columns), self.fill))


def test_every_stage_has_its_mean_and_the_warm_up_none():
    """Whether it generates or classifies."""
    generates, classifies = Model(("encode", "decode"), 5), Model(("forward",), 2)
    assert sampled(generates, [[4, 5]], 5, 0.0) == {"ms": {"encode": 2.0, "decode": 2.0}}
    assert generates.asked == [WARM_UP_TOKENS, 5]
    assert sampled(classifies, [[4, 5]], 0, 0.0) == {"ms": {"forward": 2.0}}
    assert classifies.asked == [0, 0]


def test_runs_begin_until_the_time_is_over():
    """Their mean is told."""
    model = Model(("forward",), 2)
    ms = sampled(model, [[4]], 0, 0.01)["ms"]["forward"]
    timed = len(model.asked) - 1
    assert timed > 1 and ms == pytest.approx(sum(range(2, timed + 2)) / timed)


@pytest.mark.parametrize(
    ("model", "new_tokens", "says"),
    [
        (Model(("encode", "decode"), 4), 5, "an answer of"),
        (Model(("forward",), 2, np.nan), 0, "not finite"),
        (Model(("forward",), 2, np.inf), 0, "not finite"),
    ],
    ids=["fewer tokens", "nan", "inf"],
)
def test_an_answer_that_is_none_is_refused(model, new_tokens, says):
    """Times of a model that computes something else are worth nothing."""
    with pytest.raises(ValueError, match=says):
        sampled(model, [[4, 5]], new_tokens, 0.0)
