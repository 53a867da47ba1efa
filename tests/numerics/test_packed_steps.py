"""Packages in torch, step by step: the reference of exported models, and its floor in double precision."""

import numpy as np
import pytest
import torch

from pipeline.benchmarking.engines.packed_steps import PackedSteps
from pipeline.benchmarking.engines.parity import answers, difference, ragged
from pipeline.config.sections.recipe import QuantizationConfig, QuantizersConfig

RECIPES = {
    "per token": QuantizationConfig(),
    "asymmetric": QuantizationConfig(post_activation="asymmetric", weights=QuantizersConfig(two_bit="seq")),
    "groups": QuantizationConfig(weight_granularity="group_32", embedding_granularity="group_32"),
    "published": QuantizationConfig(
        weight_granularity="per_tensor",
        activation_granularity="per_tensor",
        clip_value=2.5,
        probabilities="signed",
        lm_head=False,
        as_published=True,
    ),
}


@pytest.fixture
def inputs(make_rows):
    """Padded sources and given tokens."""
    rows = np.random.default_rng(0).integers(5, 203, (3, 10)).tolist()
    given = np.random.default_rng(1).integers(5, 203, (3, 6))
    given[:, 0] = 2
    return (*ragged(rows, pad=1), given)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("scheme", ["2-2-8", "8-8-8"])
def test_the_floor_is_computed_in_double_throughout(make_package, inputs, scheme, recipe):
    """Every module of the model, so every quantizer, gives doubles, with more bits than fp32 has."""
    folder, _ = make_package(scheme, **vars(RECIPES[recipe]))
    steps, seen = PackedSteps(folder, torch.float64), []

    def look(module, given, output):
        tensors = output if isinstance(output, tuple) else [output]
        seen.extend((type(module).__name__, t.dtype) for t in tensors if isinstance(t, torch.Tensor))

    for module in steps.model.modules():
        module.register_forward_hook(look)
    logits, tokens = answers(steps, *inputs)
    assert {name for name, dtype in seen if dtype != torch.float64} == set()
    assert "ActivationFakeQuantize" in {name for name, _ in seen}
    assert logits.dtype == np.float64
    assert (logits != logits.astype(np.float32)).mean() > 0.8
    found = difference((logits, tokens), answers(PackedSteps(folder), *inputs))
    assert 0 < found["error"] < 0.2


def test_steps_say_what_the_whole_text_at_once_says(make_package, inputs):
    """Logits of given tokens, where no scale depends on the rest of a text."""
    folder, _ = make_package("2-2-8")
    steps, (source, mask, given) = PackedSteps(folder, torch.float64), inputs
    logits, _ = answers(steps, *inputs)
    ids, seen = torch.from_numpy(source), torch.from_numpy(mask)
    whole = steps.model(input_ids=ids, attention_mask=seen, decoder_input_ids=torch.from_numpy(given)).logits
    np.testing.assert_allclose(logits, whole.transpose(0, 1).numpy(), rtol=0, atol=1e-9)


def test_a_model_differs_in_nothing_from_itself():
    """Error zero, all choices, all tokens."""
    draw = np.random.default_rng(0)
    said = (draw.normal(size=(4, 2, 9)).astype(np.float32), draw.integers(0, 9, (2, 4)))
    assert difference(said, said) == {"error": 0.0, "same_choices": 1.0, "same_tokens": 1.0}
    other = (said[0] + np.float32(1.0), said[1] + 1)
    assert difference(other, said)["same_tokens"] == 0.0
    assert difference(other, said)["error"] > 0.1
