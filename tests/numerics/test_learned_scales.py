"""Learned scales: where they start, the gradient of those of activations (TBT), and that packages keep them."""

import math

import pytest
import torch

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.export.package import load_package
from pipeline.models.student import sites_of
from pipeline.quantization.fake_quantize import ActivationFakeQuantize, calibration, learns_activations
from pipeline.quantization.learned import ElasticStep, LearnedStep, StretchedElastic
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.prepare import use_scheme
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.sweep.student.start import calibrate

STARTS = [(StretchedElastic(bits=2), 0.15), (StretchedElastic(bits=1.58), 0.24), (LearnedStep(bits=2), 0.19)]
GRIDS = [ElasticStep(bits=bits, signed=signed) for bits in (2, 4, 8) for signed in (True, False)]


def started(quantizer, x):
    """A quantizer module that has seen a tensor."""
    module = ActivationFakeQuantize(quantizer)
    with calibration(module):
        module(x)
    return module


@pytest.mark.parametrize("quantizer", GRIDS, ids=str)
def test_the_step_starts_where_the_paper_says_and_has_its_gradient(quantizer):
    """2 (4) mean|x| / sqrt(Q); inside (value - x) / step, outside the end, over sqrt(Q); times step for the log."""
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    highest = 2 ** (quantizer.bits - 1) - 1 if quantizer.signed else 2**quantizer.bits - 1
    lowest = -highest if quantizer.signed else 0
    module = started(quantizer, x.detach())
    start = (2 if quantizer.signed else 4) * x.detach().abs().mean() / math.sqrt(highest)
    assert module.parameter.item() == pytest.approx(start.log().item(), abs=1e-5)
    upstream = torch.linspace(-1, 1, 35, dtype=torch.float64).view(7, 5)
    values = module(x)
    values.backward(upstream)
    step = (
        values.detach()[values.detach() != 0].abs().min().item()
        if quantizer.bits == 2
        else module.parameter.exp().item()
    )
    steps = x.detach() / step
    codes = steps.clamp(lowest, highest).round()
    torch.testing.assert_close(values.detach(), codes * step, atol=1e-3 * step, rtol=1e-4)
    inside = (steps >= lowest) & (steps <= highest)
    slope = torch.where(inside, codes - steps, codes)
    expected = (upstream * slope).sum() * step / math.sqrt(highest)
    assert module.parameter.grad.item() == pytest.approx(expected.item(), rel=2e-3, abs=1e-5)
    assert torch.equal(x.grad, upstream * inside)


@pytest.mark.parametrize("scheme", ["2-2-2", "4-4-4", "8-8-8", "32-32-2"])
def test_the_package_gives_what_the_student_gave(make_student, make_package_of, tiny_batch, scheme):
    """Logits and tokens, exactly: the scales lie in the package."""
    student, info = make_student(scheme, activation_granularity="learned", post_activation="asymmetric")
    assert learns_activations(student)
    calibrate(student, tiny_batch)
    with torch.no_grad():
        logits = logits_of(student, tiny_batch)
        tokens = student.generate(tiny_batch.input_ids, attention_mask=tiny_batch.attention_mask, max_length=9)
    convert(student, sites_of(student), info.scheme)
    loaded, _ = load_package(make_package_of(student, info))
    with torch.no_grad():
        assert torch.equal(logits_of(loaded, tiny_batch), logits)
        again = loaded.generate(tiny_batch.input_ids, attention_mask=tiny_batch.attention_mask, max_length=9)
    assert torch.equal(again[:, : tokens.shape[1]], tokens)


def test_batch_mates_and_padding_do_not_exist(make_student, tiny_batch):
    """A scale that is learned sees nobody."""
    student, _ = make_student("4-4-4", activation_granularity="learned")
    calibrate(student, tiny_batch)
    length = int(tiny_batch.attention_mask[0].sum())
    with torch.no_grad():
        alone = student(
            input_ids=tiny_batch.input_ids[:1, :length],
            attention_mask=tiny_batch.attention_mask[:1, :length],
            decoder_input_ids=tiny_batch.decoder_input_ids[:1],
        ).logits
        torch.testing.assert_close(alone, logits_of(student, tiny_batch)[:1], atol=2e-5, rtol=0)


def test_a_phase_without_activation_bits_keeps_the_learned_scale_waiting(make_student, tiny_batch):
    """It comes back as it was, and has a gradient of zero meanwhile."""
    student, info = make_student("2-2-4", activation_granularity="learned")
    calibrate(student, tiny_batch)
    with torch.no_grad():
        before = logits_of(student, tiny_batch)
    use_scheme(student, sites_of(student), scheme_of("8-8-32", QuantizationConfig()))
    logits_of(student, tiny_batch).square().sum().backward()
    scales = [p for name, p in student.named_parameters() if name.endswith("activation_quantize.parameter")]
    assert scales and all(torch.equal(scale.grad, torch.zeros(1)) for scale in scales)
    use_scheme(student, sites_of(student), info.scheme)
    with torch.no_grad():
        assert torch.equal(logits_of(student, tiny_batch), before)


@pytest.mark.parametrize("setting", [{"clip_value": 2.5}, {"as_published": True}])
def test_settings_that_a_learned_scale_would_ignore_are_refused(setting):
    """A clip, and arithmetic that knows no learned scale."""
    with pytest.raises(UserError, match="elastic"):
        scheme_of("8-8-8", QuantizationConfig(activation_granularity="learned", probabilities="signed", **setting))


def logits_of(model, batch):
    """Teacher-forced logits."""
    return model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, decoder_input_ids=batch.decoder_input_ids
    ).logits


@pytest.mark.parametrize(("quantizer", "most"), STARTS, ids=str)
def test_learned_scales_of_weights_start_where_they_fit(quantizer, most):
    """The squared error of Gaussian rows is near the least of the grid (0.119, 0.190 and 0.149), scale for scale."""
    x = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 64)[:, None]
    start = quantizer.initial(x)
    error = (quantizer.grid(x, start).values() - x).square().mean(dim=-1) / x.square().mean(dim=-1)
    assert error.mean() < most
    for part in (0.9, 1.1):
        other = quantizer.grid(x, start + math.log(part)).values()
        assert ((other - x).square().mean(dim=-1) / x.square().mean(dim=-1)).mean() > error.mean() - 0.01
