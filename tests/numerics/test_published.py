"""`recipe=dqbart` is the published method: its logits, loss terms, gradients, dropout and optimiser steps."""

import pytest
import torch
from published import Published, PublishedAdamW, losses, published_num_warmup, published_schedule
from torch import nn

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.distillation.losses_as_published import PublishedObjective
from pipeline.distillation.objective import signals_of
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.fake_quantize import ActivationFakeQuantize
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.training import make_engine
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import TokenCounts
from pipeline.training.optim import make_schedule, published_adamw

HEADS = 4
MAPS = [([0, 1, 2], [0, 1, 2]), ([0, 2], [1]), ([1], [0, 2])]  # the last one leaves the encoder's last layer out
DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-12)]
COUNTS = TokenCounts(num_source=1, num_target=1)
TRAIN = TrainConfig(optimiser="adamw_as_published", weight_decay=0.1, max_gradient_norm=0.0)


class Pair:
    """A prepared student of the recipe with its objective, and the reference of the same weights."""

    def __init__(self, teacher, maps, scheme, *, as_released=False, wide=False, train=TRAIN, drop=None):
        recipe = load_config(SweepJob, ["recipe=dqbart", f"recipe.dqbart.as_released={as_released}"]).recipe
        dtype, (encoder, decoder) = teacher.dtype, maps
        self.teacher, self.maps, self.as_released = teacher, {"encoder": encoder, "decoder": decoder}, as_released
        self.student = build_student(teacher, encoder, decoder, 0.0).to(dtype).requires_grad_(True)
        if wide:
            widen(self.student)
        plain = {name: tensor.detach().clone() for name, tensor in self.student.state_dict().items()}
        self.parameters = {name: plain[name].requires_grad_() for name, _ in self.student.named_parameters()}
        self.mine = Published(plain, HEADS, int(scheme[0]), drop=drop)
        self.theirs = Published(teacher.state_dict(), HEADS, 32, drop=lambda probabilities: probabilities)
        prepare_student(self.student, scheme_of(scheme, recipe.quantization))
        self.engine = make_engine(self.student, train, ClusterConfig(engine="torch", precision="fp32"))
        self.objective = PublishedObjective(
            weights=recipe.distillation, encoder_map=encoder, decoder_map=decoder, as_released=as_released
        )

    def backward(self, batch):
        """Loss terms of both by name, their gradients left in the parameters; logits of the reference."""
        terms = self.objective(self.engine, batch, signals_of(self.teacher, batch), COUNTS)
        self.engine.backward(sum(terms.values()))
        inputs = (batch.input_ids, batch.attention_mask, batch.decoder_input_ids)
        logits = self.mine(*inputs)
        expected = losses(
            self.mine, logits, self.theirs, self.theirs(*inputs), batch.labels, self.maps, self.as_released
        )
        sum(expected.values()).backward()
        return terms, expected, logits.detach()

    def assert_same(self, terms, expected, precision):
        assert set(terms) == set(expected)
        for name, term in expected.items():
            assert abs((terms[name] - term).item()) <= precision * max(1.0, term.item()), name
        for name, parameter in self.student.named_parameters():
            torch.testing.assert_close(
                parameter.grad,
                self.parameters[name].grad,
                rtol=precision,
                atol=precision * max(1.0, float(self.parameters[name].grad.abs().max())),
                msg=lambda text, name=name: f"{name}: {text}",
            )


@torch.no_grad()
def widen(student):
    """Put several percent of the weights beyond the clip and one at it, and with them the inputs of layers."""
    for name, parameter in student.named_parameters():
        if parameter.ndim == 2:
            for first, every, value in ((3, 151, 2.5), (5, 157, -2.5), (7, 83, 3.0), (11, 89, -2.7), (13, 97, 2.6)):
                parameter.view(-1)[first::every] = value
        elif "norm" in name:
            parameter.mul_(1.3)


@pytest.fixture
def make_teacher(make_bart):
    """A frozen 3-3 BART."""

    def make(dtype, seed=0, **options):
        teacher = make_bart(3, 3, seed=seed, **options).to(dtype).eval().requires_grad_(False)
        teacher.model.shared.weight[1] = 0.1 * torch.randn(32)  # the released code divides by zero on a row of zeros
        return teacher

    return make


@pytest.mark.parametrize("wide", [False, True], ids=["inside", "wide"])
@pytest.mark.parametrize("as_released", [False, True])
@pytest.mark.parametrize("maps", MAPS, ids=str)
@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
@pytest.mark.parametrize(("dtype", "precision"), DTYPES, ids=["fp32", "fp64"])
def test_logits_loss_terms_and_gradients_are_the_published_ones(
    make_teacher, make_rows, batch_of, dtype, precision, scheme, maps, as_released, wide
):
    """Against a BART written out from the formulas, at every depth, with values beyond the clip and exactly at it."""
    pair, batch = Pair(make_teacher(dtype), maps, scheme, as_released=as_released, wide=wide), batch_of(make_rows(3))
    terms, expected, logits = pair.backward(batch)
    with torch.no_grad():
        found = signals_of(pair.engine.forward, batch).logits
    torch.testing.assert_close(found, logits, rtol=precision, atol=precision)
    pair.assert_same(terms, expected, precision)


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
def test_the_wide_inputs_lie_beyond_the_clip_and_exactly_at_it(make_teacher, make_rows, batch_of, scheme):
    """Several percent of weights and activations beyond, some at; there, the published gradient is zero."""
    pair, seen = Pair(make_teacher(torch.float32), MAPS[0], scheme, wide=True), []
    for module in pair.student.modules():
        if isinstance(module, ActivationFakeQuantize):
            module.register_forward_hook(lambda _, given, __: seen.append(given[0].detach().abs()))
    pair.backward(batch_of(make_rows(3)))
    weights = [p for name, p in pair.student.named_parameters() if name.endswith(("proj.weight", "fc1.weight"))]
    for tensors in (seen, [weight.detach().abs() for weight in weights]):
        sizes = torch.cat([tensor.flatten() for tensor in tensors])
        assert (sizes > 2.5).float().mean() > 0.02
        assert (sizes == 2.5).sum() > 10
    assert not any(weight.grad[weight.abs() >= 2.5].any() for weight in weights)
    assert all(weight.grad[weight.abs() < 2.5].any() for weight in weights)


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
@pytest.mark.parametrize(("dtype", "precision"), DTYPES, ids=["fp32", "fp64"])
def test_attention_probabilities_are_dropped_and_then_quantized(
    make_teacher, make_rows, batch_of, monkeypatch, scheme, dtype, precision
):
    """Under the same masks: encoder layers first, then self- and cross-attention of every decoder layer."""
    masks = []

    def draw(x, p=0.5, training=True, inplace=False):
        if p == 0 or not training:
            return x
        masks.append((torch.rand_like(x) >= p) / (1 - p))
        return x * masks[-1]

    monkeypatch.setattr(torch.nn.functional, "dropout", draw)
    teacher = make_teacher(dtype, attention_dropout=0.3)
    pair = Pair(teacher, MAPS[0], scheme, wide=True, drop=lambda x: x * masks.pop(0))
    pair.student.train()
    terms, expected, _ = pair.backward(batch_of(make_rows(3)))
    assert masks == []
    pair.assert_same(terms, expected, precision)


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_optimiser_steps_are_the_published_ones(make_teacher, make_rows, batch_of, scheme, dtype):
    """Weights after four steps, of which the first changes nothing, to 1e-6; with weight decay, which goes by name."""
    pair, num_steps = Pair(make_teacher(dtype), MAPS[1], scheme, wide=True), 47
    before = {name: p.detach().clone() for name, p in pair.student.named_parameters()}
    kept = [name for name in pair.parameters if "bias" in name or "LayerNorm.weight" in name]
    groups = [{"params": [p for name, p in pair.parameters.items() if name not in kept], "weight_decay": 0.1}]
    groups += [{"params": [pair.parameters[name] for name in kept], "weight_decay": 0.0}]
    theirs, rate = PublishedAdamW(groups, lr=0.0), make_schedule(TRAIN, num_steps, TRAIN.learning_rate)
    for step in range(4):
        theirs.zero_grad()
        pair.backward(batch_of(make_rows(3, step)))
        factor = published_schedule(step, num_steps, published_num_warmup(num_steps))
        for group in theirs.param_groups:
            group["lr"] = TRAIN.learning_rate * factor
        theirs.step()
        pair.engine.step(rate(step))
        for name, parameter in pair.student.named_parameters():
            assert step > 0 or torch.equal(parameter, before[name])
            torch.testing.assert_close(parameter.detach(), pair.parameters[name].detach(), rtol=0, atol=1e-6)
    assert not any(torch.equal(p, before[name]) for name, p in pair.student.named_parameters())


def test_weight_decay_goes_by_name_and_spares_what_the_released_code_does_not_have():
    """BART's norms decay, BERT's do not; neither do biases, learned scales and gates."""
    names = ["layer_norm.weight", "fc1.weight", "LayerNorm.weight", "fc1.bias", "fc1.weight_quantize.parameter"]
    names += ["relative_attention_bias.weight", "head_gates.of_attention.0.location"]
    optimiser = published_adamw([(name, nn.Parameter(torch.ones(1))) for name in names], TRAIN)
    groups = [(len(group["params"]), group["weight_decay"]) for group in optimiser.param_groups]
    assert groups == [(2, 0.1), (5, 0.0)]


@pytest.mark.parametrize("num_steps", [1, 7, 19, 20, 39, 40, 1000])
def test_the_published_schedule_starts_at_zero(num_steps):
    """Where there is a warm-up at all; its number of steps is rounded down."""
    rate = make_schedule(TRAIN, num_steps, 2.0)
    expected = [2.0 * published_schedule(step, num_steps, int(0.05 * num_steps)) for step in range(num_steps)]
    assert [rate(step) for step in range(num_steps)] == pytest.approx(expected, rel=1e-12)
    assert (rate(0) == 0.0) == (num_steps >= 20)
    ours = make_schedule(TrainConfig(), num_steps, 2.0)
    assert ours(0) == 2.0 / max(1, round(0.05 * num_steps))


def test_micro_batches_are_averaged_as_published(make_bart, tiny_batch, batch_of):
    """Two micro-batches count half each; a filler, whose labels are all padding, counts nothing."""
    recipe = load_config(SweepJob, ["recipe=dqbart"]).recipe
    teacher = make_bart(2, 2).eval()
    engine = TorchEngine(teacher, torch.optim.SGD(teacher.parameters()), precision="fp32", max_gradient_norm=0.0)
    objective = PublishedObjective(
        weights=recipe.distillation, encoder_map=[0, 1], decoder_map=[0, 1], as_released=False
    )
    counts = [TokenCounts(num_source=1, num_target=1, num_micro_batches=number) for number in (1, 2)]
    one, half = (objective(engine, tiny_batch, signals_of(teacher, tiny_batch), count) for count in counts)
    assert one["task_loss"].item() == 2 * half["task_loss"].item()
    filler = batch_of([([0, 2], [0, 2])])
    filler.labels.fill_(-100)
    assert filler.num_target_tokens == 0
    assert not any(objective(engine, filler, signals_of(teacher, filler), counts[0])[name].any() for name in one)
