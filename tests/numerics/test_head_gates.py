"""Laws of head gates (Voita et al. 2019): their draws, their gradients, what folding them leaves."""

import copy
import math

import pytest
import torch
from heads import factors_on, losses_of, outputs_of

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.models.student import prepare_student, sites_of
from pipeline.pruning.gates import HeadGates, hard_concrete, open_probability, settled
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.scheme import scheme_of
from pipeline.training.random_stream import RandomStream

LOG_ALPHAS = torch.tensor([-50.0, -4.0, -2.0, -0.5, 0.0, 0.7, 2.0, 5.0, 50.0], dtype=torch.float64)


def test_the_probability_of_an_open_gate_is_that_of_its_draws():
    """By integration over u; settled gates by their formula."""
    u = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    for log_alpha in LOG_ALPHAS:
        gates = hard_concrete(log_alpha, u)
        assert ((gates >= 0) & (gates <= 1)).all()
        assert abs((gates != 0).double().mean() - open_probability(log_alpha)) < 1e-5
        # Louizos et al.: 1 - Q(0) with the distribution function of the stretched concrete variable.
        below = 1 / (1 + math.exp(-(math.log(0.1 / 1.1) * 0.33 - float(log_alpha))))
        assert abs(1 - below - open_probability(log_alpha)) < 1e-12
        assert abs(settled(log_alpha) - min(1.0, max(0.0, 1.2 / (1 + math.exp(-log_alpha)) - 0.1))) < 1e-12


@pytest.fixture
def gated(make_bart):
    """A BART with attached gates of different locations, and its sites."""
    model = make_bart(2, 2)
    sites = sites_of(model)
    gates = HeadGates(model, sites)
    with torch.no_grad():
        for index, part in enumerate(gates.of_attention):
            part.location.copy_(torch.tensor([-4.0, 0.0, 1.0, 4.0]).roll(index))
    gates.attach(model)
    return model, sites, gates


def test_gates_multiply_heads(gated, tiny_batch):
    """Settled in evaluation; in training drawn once per forward pass, from torch's generator."""
    model, sites, gates = gated
    log_alphas = {
        s.module: part.log_alpha.detach() for s, part in zip(sites.attentions, gates.of_attention, strict=True)
    }
    observed = outputs_of(model, tiny_batch)
    gates.detach(model)
    plain = outputs_of(model, tiny_batch)
    with factors_on(model, sites, {name: settled(log_alpha) for name, log_alpha in log_alphas.items()}):
        assert torch.allclose(observed, outputs_of(model, tiny_batch), rtol=0, atol=1e-6)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not torch.allclose(observed, plain, rtol=0, atol=1e-3)
    gates.attach(model)
    assert torch.equal(outputs_of(model, tiny_batch), observed)


def test_drawn_gates_follow_the_random_stream_and_the_mode(gated, tiny_batch):
    """Two streams of one seed give the same; one draw serves a whole batch; evaluation is deterministic."""
    model, _, _ = gated
    assert torch.equal(outputs_of(model, tiny_batch), outputs_of(model, tiny_batch))
    model.train()
    drawn = []
    for _ in range(2):
        with RandomStream(3, torch.device("cpu")):
            drawn.append([outputs_of(model, tiny_batch) for _ in range(2)])
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    part = model.head_gates.of_attention[0]
    x = torch.ones(5, 7, 32)
    values = part(x)
    assert torch.equal(values, values[:1, :1].expand_as(values))
    assert ((values >= 0) & (values <= 1)).all()


def test_gates_open_as_often_as_the_penalty_says(gated):
    """Within four standard errors, and the penalty is the sum over all heads."""
    _, _, gates = gated
    gates.train()
    torch.manual_seed(0)
    num_draws = 4000
    part = gates.of_attention[0]
    drawn = torch.stack([part(torch.ones(1, 1, 32))[0, 0, ::8] for _ in range(num_draws)])
    probability = open_probability(part.log_alpha.detach())
    error = (probability * (1 - probability) / num_draws).sqrt()
    assert ((drawn != 0).float().mean(dim=0) - probability).abs().le(4 * error).all()
    expected = sum(open_probability(other.log_alpha.detach()).sum() for other in gates.of_attention)
    assert torch.allclose(gates.penalty(), expected)


def test_gradients_of_gates_are_finite_everywhere(gated, tiny_batch):
    """At the ends, too; the penalty's is that of its formula."""
    model, _, gates = gated
    model.train()
    with torch.no_grad():
        gates.of_attention[0].location.copy_(torch.tensor([-200.0, -1.0, 1.0, 200.0]))
    for seed in range(5):
        torch.manual_seed(seed)
        losses_of(model, tiny_batch).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert any(part.location.grad.any() for part in gates.of_attention)
    model.zero_grad()
    gates.penalty().backward()
    for part in gates.of_attention:
        p = open_probability(part.log_alpha.detach())
        assert torch.allclose(part.location.grad, p * (1 - p))
    log_alpha = torch.zeros(2, requires_grad=True)
    ends = hard_concrete(log_alpha, torch.tensor([0.0, 1.0]))
    ends.sum().backward()
    assert ends.tolist() == [0.0, 1.0] and log_alpha.grad.tolist() == [0.0, 0.0]


def test_the_gates_are_a_part_of_the_model_while_attached(gated, tiny_batch):
    """Trained and checkpointed with it; a copy has its own; gone without a trace."""
    model, _, gates = gated
    names = {f"head_gates.of_attention.{index}.location" for index in range(6)}
    assert names < set(model.state_dict()) and names < {name for name, _ in model.named_parameters()}
    twin, before = copy.deepcopy(model), outputs_of(model, tiny_batch)
    with torch.no_grad():
        for part in twin.head_gates.of_attention:
            part.location.fill_(-9.0)
    assert torch.equal(outputs_of(model, tiny_batch), before)
    assert not torch.equal(outputs_of(twin, tiny_batch), before)
    twin.head_gates.detach(twin)
    assert not names & set(twin.state_dict())
    assert torch.equal(outputs_of(model, tiny_batch), before)
    assert gates is model.head_gates


def test_folding_the_gates_and_removing_closed_heads_loses_nothing(gated, tiny_batch):
    """What evaluation with gates gave is what the smaller model gives; also where a module closed all its heads."""
    model, sites, gates = gated
    with torch.no_grad():
        gates.of_attention[1].location.copy_(torch.tensor([-6.0, -5.0, -5.0, -7.0]))
    before = outputs_of(model, tiny_batch)
    kept = gates.kept()
    modules = [site.module for site in sites.attentions]
    assert kept[modules[0]] == [1, 2, 3] and kept[modules[1]] == [1] and kept[modules[2]] == [0, 1, 3]
    gates.fold(model)
    remove_heads(model, sites, kept)
    assert torch.allclose(outputs_of(model, tiny_batch), before, rtol=0, atol=1e-6)
    best = gates.kept(0.25)
    assert sum(map(len, best.values())) == 6 and all(best.values())
    assert best[modules[1]] == [1] and best[modules[2]] == [1]


def test_gates_that_do_not_fit_are_refused(gated, tiny_batch):
    """Heads removed under attached gates; gates folded into quantized layers."""
    model, sites, _ = gated
    quantized = copy.deepcopy(model)
    remove_heads(model, sites, {sites.attentions[0].module: [0, 1]})
    with pytest.raises(RuntimeError):
        outputs_of(model, tiny_batch)
    prepare_student(quantized, scheme_of("2-2-8", QuantizationConfig()))
    with pytest.raises(UserError):
        quantized.head_gates.fold(quantized)
    assert hasattr(quantized, "head_gates")
