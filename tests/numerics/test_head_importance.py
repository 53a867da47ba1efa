"""Laws of head importance (Michel et al. 2019): what it is, and which heads are kept for it."""

import math

import pytest
import torch
from heads import EOS, factors_on, losses_of, outputs_of

from pipeline.config.errors import NonFiniteError, UserError
from pipeline.models.load import set_dropout
from pipeline.models.student import sites_of
from pipeline.pruning.importance import head_importance, heads_to_keep


def importance_of(model, sites, batches):
    return head_importance(model, sites, batches, lambda batch: losses_of(model, batch).sum())


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_importance_is_the_mean_size_of_the_slope_of_each_example(make_model, make_rows, batch_of, family):
    """Against central differences: every head is scaled by 1 +- h in turn."""
    model, sites = make_model(family)
    batch, step = batch_of(make_rows(5)), 1e-6  # small, or differences meet the kinks of T5's ReLU
    scores = importance_of(model, sites, [batch])
    assert list(scores) == [site.module for site in sites.attentions]
    for site in sites.attentions[::3]:
        slopes = []
        for head in range(4):
            losses = []
            for factor in (1 + step, 1 - step):
                factors = [factor if other == head else 1.0 for other in range(4)]
                with torch.no_grad(), factors_on(model, sites, {site.module: factors}):
                    losses.append(losses_of(model, batch))
            slopes.append(((losses[0] - losses[1]) / (2 * step)).abs().mean())
        expected = torch.stack(slopes)
        expected = expected / expected.norm()
        assert torch.allclose(scores[site.module], expected, rtol=0, atol=1e-6)
        assert torch.isclose(scores[site.module].norm(), torch.ones((), dtype=torch.float64))


def test_importance_does_not_depend_on_batching_or_padding(make_model, make_rows, batch_of):
    """One by one, all at once, or with a long row among them."""
    model, sites = make_model("bart")
    rows = make_rows(6)
    together = importance_of(model, sites, [batch_of(rows)])
    for split in (1, 2, 4):
        parts = [batch_of(rows[start : start + split]) for start in range(0, len(rows), split)]
        apart = importance_of(model, sites, parts)
        assert all(torch.allclose(apart[name], together[name], rtol=0, atol=1e-12) for name in together)
    # A long row whose loss is left out pads all others.
    long = batch_of([*rows, ([0, *[7] * 40, EOS], [*[7] * 30, EOS])])
    padded = head_importance(model, sites, [long], lambda batch: losses_of(model, batch)[:-1].sum())
    assert all(torch.allclose(padded[name], together[name], rtol=0, atol=1e-12) for name in together)


def test_importance_takes_the_size_before_the_mean(make_model, make_rows, batch_of):
    """Examples with opposite slopes add up; their mean slope would be 0."""
    model, sites = make_model("bart")
    batch = batch_of(make_rows(1) * 2)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    opposed = head_importance(model, sites, [batch], lambda batch: (losses_of(model, batch) * signs).sum())
    alike = importance_of(model, sites, [batch])
    assert all(torch.allclose(opposed[name], alike[name], rtol=0, atol=1e-12) for name in alike)


def test_importance_leaves_the_model_as_it_was(make_bart, tiny_batch):
    """Modes of single modules, gradients, hooks, frozen parameters; also after an error."""
    model = make_bart(2, 2).train()
    sites = sites_of(model)
    model.model.encoder.eval()
    model.model.shared.requires_grad_(False)
    losses_of(model, tiny_batch).sum().backward()
    modes = [module.training for module in model.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    with torch.no_grad():
        importance_of(model, sites, [tiny_batch])
    for exception, loss_of in ((ZeroDivisionError, lambda _: 1 / 0), (NonFiniteError, lambda b: nan_loss(model, b))):
        with pytest.raises(exception):
            head_importance(model, sites, [tiny_batch], loss_of)
    with pytest.raises(UserError):
        importance_of(model, sites, [])
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is None if gradient is None else torch.equal(parameter.grad, gradient)


def nan_loss(model, batch):
    return losses_of(model, batch).sum() * math.nan


def test_importance_needs_neither_gradients_nor_evaluation_mode_and_is_zero_of_unused_attention(make_bart, tiny_batch):
    """A teacher has no gradients, a student drops out; a loss on the encoder says nothing about the decoder."""
    model = make_bart(2, 2)
    sites = sites_of(model)
    expected = importance_of(model, sites, [tiny_batch])
    set_dropout(model.train().requires_grad_(False), 0.5)
    frozen = importance_of(model, sites, [tiny_batch])
    assert all(torch.equal(frozen[name], expected[name]) for name in expected)
    model.eval()

    def encoder_loss(batch):
        return model.model.encoder(batch.input_ids, batch.attention_mask).last_hidden_state.square().sum()

    scores = head_importance(model, sites, [tiny_batch], encoder_loss)
    assert all(score.any() == ("encoder.layers" in name) for name, score in scores.items())


def test_the_highest_scores_are_kept_over_all_modules():
    """ceil(keep x all), the minimum per module first, ties to the earlier module and the lower head."""
    scores = {"a": torch.tensor([0.9, 0.8, 0.7, 0.6]), "b": torch.tensor([0.1, 0.2, 0.2]), "c": torch.tensor([0.7])}
    assert heads_to_keep(scores, 1.0) == {"a": [0, 1, 2, 3], "b": [0, 1, 2], "c": [0]}
    assert heads_to_keep(scores, 0.5) == {"a": [0, 1], "b": [1], "c": [0]}
    assert heads_to_keep(scores, 0.51) == {"a": [0, 1, 2], "b": [1], "c": [0]}
    assert heads_to_keep(scores, 0.01) == {"a": [0], "b": [1], "c": [0]}
    assert heads_to_keep(scores, 0.5, min_heads=2) == {"a": [0, 1], "b": [1, 2], "c": [0]}
    equal = {"a": torch.ones(3), "b": torch.ones(3)}
    assert heads_to_keep(equal, 0.6) == {"a": [0, 1, 2], "b": [0]}
    assert sum(map(len, heads_to_keep({"a": torch.rand(100)}, 0.55).values())) == 55
    for keep, min_heads in ((0.0, 1), (1.1, 1), (-0.5, 1), (math.nan, 1), (0.5, 0)):
        with pytest.raises(UserError):
            heads_to_keep(scores, keep, min_heads)


def test_importance_of_a_quantized_student_is_that_of_its_quantized_forward(make_student, tiny_batch):
    """The factors come before the output linear's quantizer."""
    student, _ = make_student("2-2-8")
    sites, before = sites_of(student), outputs_of(student, tiny_batch)
    scores = importance_of(student, sites, [tiny_batch])
    assert all(score.isfinite().all() and score.any() for score in scores.values())
    assert torch.equal(outputs_of(student, tiny_batch), before)
