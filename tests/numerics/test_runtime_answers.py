"""An exported model without quantization, which rounds nothing apart, says what its package says."""

import pytest

from pipeline.export.answer import Answerer
from pipeline.export.onnx.export import export_package
from pipeline.runtime.answer import OnnxAnswerer

TEXTS = ["return the number of tokens", "", "read a file", "scales are stored beside the codes, one for every row"]
TEXTS += ["word " * 200, "naïve 漢字 \u200b </s>", "\t\n", "a" + "</s>" * 300]


@pytest.fixture
def both(make_package, tmp_path):
    """The package's answerer and that of its export."""
    packed, _ = make_package("32-32-32", shape={"vocab_size": 320, "init_std": 0.5})
    export_package(packed, tmp_path / "exported", "exact")
    return Answerer(packed, batch_tokens=96), OnnxAnswerer(tmp_path / "exported", num_threads=1, batch_tokens=96)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_beams": 1},
        {"num_beams": 1, "no_repeat_ngram_size": 2, "max_length": 30},
        {"num_beams": 4, "early_stopping": False, "max_length": 20, "no_repeat_ngram_size": 3},
        {"min_length": 6, "length_penalty": -1.0, "max_length": 9},
    ],
)
def test_both_say_the_same(both, changes):
    """Prefix, limits, batches, search and the way back to text."""
    torch, onnx = both
    answers = onnx.answers(TEXTS, **changes)
    assert answers == torch.answers(TEXTS, **changes)
    assert len(set(answers)) > 2


@pytest.mark.parametrize(
    "overrides",
    [
        {"num_beam": 2},
        {"num_beams": 65},
        {"max_length": 65},
        {"max_length": 1},
        {"min_length": 13},
        {"num_beams": None},
    ],
)
def test_both_refuse_the_same(both, overrides):
    """With the same sentence."""
    messages = []
    for answerer in both:
        with pytest.raises(Exception) as caught:
            answerer.answers(["a text"], **overrides)
        messages.append((type(caught.value).__name__, str(caught.value)))
    assert messages[0] == messages[1]
    assert messages[0][0] == "UserError"
