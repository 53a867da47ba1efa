"""What a worker's process makes of a model's runs."""

import numpy as np
import pytest

from pipeline.benchmarking.engines import worker
from pipeline.benchmarking.engines.engine import Sample
from pipeline.benchmarking.engines.worker import WARM_UP_TOKENS, sampled


class Model:
    """An engine whose runs take longer and longer, and that notes how many tokens it was asked for."""

    def __init__(self, num_tokens):
        self.num_tokens, self.asked = num_tokens, []

    def sample(self, source, num_tokens):
        self.asked.append(num_tokens)
        tokens = np.zeros((len(source), self.num_tokens), dtype=np.int64)
        return Sample(encode_ms=float(len(self.asked)), decode_ms=0.0, tokens=tokens)


@pytest.mark.parametrize("num_tokens", [5, 0], ids=["generates", "classifies"])
def test_a_run_before_the_sample_does_not_count(num_tokens):
    """It is short where it generates."""
    model = Model(num_tokens)
    found = sampled(model, [[4, 5]], num_tokens, 0.0)
    assert (found["encode_ms"], found["decode_ms"], model.asked) == (2.0, 0.0, [WARM_UP_TOKENS, num_tokens])
    assert found["processor_ms"] >= 0


def test_runs_begin_until_the_time_is_over(monkeypatch):
    """Their mean is told."""
    model, clock = Model(0), iter([10.0, 10.1, 10.3, 10.6])
    monkeypatch.setattr(worker.time, "perf_counter", lambda: next(clock))
    assert sampled(model, [[4]], 0, 0.5)["encode_ms"] == (2.0 + 3.0 + 4.0) / 3
    assert model.asked == [WARM_UP_TOKENS, 0, 0, 0]


def test_other_tokens_than_were_asked_for_are_refused():
    """Times of a model that does something else are worth nothing."""
    with pytest.raises(ValueError, match=r"\(1, 4\) tokens decoded, \(1, 5\) wanted"):
        sampled(Model(4), [[4, 5]], 5, 0.0)
