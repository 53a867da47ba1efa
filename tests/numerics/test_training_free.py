"""Training-free scores: formulas on one batch, without a trace in the model."""

import dataclasses
import math

import pytest
import torch
from teachers import random_teacher

from pipeline.data.batch import Batch
from pipeline.distillation.losses import cross_entropy_sum
from pipeline.evaluation.training_free import SCORES, training_free_scores
from pipeline.models.families import families, family_named
from pipeline.models.forward import position_logits


@pytest.fixture(params=sorted(families()))
def model(request):
    """A random model of every family, in training mode, one of its tables frozen."""
    teacher = random_teacher(family_named(request.param)).train()
    next(teacher.parameters()).requires_grad_(False)
    return teacher


@pytest.fixture
def batch(model, tiny_batch):
    """A padded batch; a classifier has one label an example."""
    if family_named(model.config.model_type).decoder is None:
        labels = torch.arange(tiny_batch.labels.size(0)).remainder(2).unsqueeze(1)
        return dataclasses.replace(tiny_batch, decoder_input_ids=None, labels=labels)
    return tiny_batch


def repeated(batch: Batch, row: int) -> Batch:
    """One example of it, as often as it has examples."""
    tensors = {name: one for name, one in vars(batch).items() if one is not None}
    same = {name: one[row : row + 1].expand_as(one).contiguous() for name, one in tensors.items()}
    return Batch(**{"decoder_input_ids": None, **same})


def test_every_family_has_every_score(model, batch):
    """Finite numbers that a table of candidates takes."""
    scores = training_free_scores(model, batch, cross_entropy_sum)
    assert tuple(scores) == SCORES and all(map(math.isfinite, scores.values()))
    assert 0 < scores["head_confidence"] <= 1 and scores["synaptic_saliency"] > 0


def test_the_model_is_left_as_it_was(model, batch):
    """Weights, modes, what is trained, gradients, hooks; twice the same scores."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = [parameter.requires_grad for parameter in model.parameters()]
    model(**batch.inputs, output_attentions=True)  # transformers leaves hooks of its own
    hooks = [len(module._forward_hooks) for module in model.modules()]
    first = training_free_scores(model, batch, cross_entropy_sum)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == trained and model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert training_free_scores(model, batch, cross_entropy_sum) == first


def test_loss_and_gradient_are_those_of_a_plain_backward_pass(model, batch):
    """A loss twice as steep has twice the gradient and twice the saliency."""
    scores = training_free_scores(model, batch, cross_entropy_sum)
    doubled = training_free_scores(model, batch, lambda logits, labels: 2 * cross_entropy_sum(logits, labels))
    for name in ("initial_loss", "gradient_norm", "synaptic_saliency"):
        assert doubled[name] == pytest.approx(2 * scores[name], rel=1e-5), name
    model.eval().requires_grad_(True)
    loss = cross_entropy_sum(position_logits(model(**batch.inputs)), batch.labels) / batch.num_target_tokens
    loss.backward()
    squares = sum(float(p.grad.double().square().sum()) for p in model.parameters() if p.grad is not None)
    assert -scores["initial_loss"] == pytest.approx(float(loss), rel=1e-6)
    assert scores["gradient_norm"] == pytest.approx(math.sqrt(squares), rel=1e-5)


def test_examples_that_are_one_example_differ_least(model, batch):
    """Their gradients are one direction: all eigenvalues but one are 0."""
    scores = training_free_scores(model, batch, cross_entropy_sum)
    alike = training_free_scores(model, repeated(batch, 0), cross_entropy_sum)
    assert alike["jacobian_covariance"] < scores["jacobian_covariance"]


def test_a_loss_that_is_not_finite_is_the_worst_score(model, batch):
    """It is a number all the same: a table takes no other."""
    scores = training_free_scores(model, batch, lambda logits, labels: cross_entropy_sum(logits * math.inf, labels))
    assert scores["initial_loss"] == scores["gradient_norm"] == torch.finfo().min
