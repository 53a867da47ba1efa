"""The objective: which terms there are, what they compare, and that a filler row counts nothing."""

import pytest
import torch

from pipeline.config.sections.recipe import DistillationConfig
from pipeline.distillation import losses
from pipeline.distillation.objective import DistillationObjective, Signals, TaskObjective, signals_of
from pipeline.models.student import build_student
from pipeline.training.loop import TokenCounts

SQUARED = [f"{name}_loss" for name in ("encoder_attention", "decoder_attention", "cross_attention")]
SQUARED += ["encoder_hidden_loss", "decoder_hidden_loss"]


class Engine:
    """Only what an objective asks of an engine."""

    def __init__(self, module):
        self.module, self.forward = module, module


def test_a_batch_of_fillers_has_losses_of_exactly_zero_and_a_gradient(make_bart, batch_of):
    """So an idle rank takes part in collective communication without changing anything."""
    teacher, student = make_bart(2, 2, seed=1), make_bart(1, 1)
    filler = batch_of([])
    assert (filler.num_source_tokens, filler.num_target_tokens) == (0, 0)
    objective = DistillationObjective(weights=DistillationConfig(), encoder_map=[1], decoder_map=[1])
    terms = objective(Engine(student), filler, signals_of(teacher, filler), TokenCounts(num_source=1, num_target=1))
    assert set(terms) == {"task_loss", "logits_loss", *SQUARED}
    assert [term.item() for term in terms.values()] == [0.0] * 7
    sum(terms.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in student.parameters())


@pytest.mark.parametrize("off", ["task", "logits", "encoder_attention", "cross_attention", "decoder_hidden"])
def test_a_weight_of_zero_switches_its_term_off_and_others_scale_theirs(make_bart, tiny_batch, off):
    """Terms are linear in their weights."""
    teacher, student = signals_of(make_bart(3, 3, seed=1), tiny_batch), Engine(make_bart(2, 1))
    counts = TokenCounts(num_source=30, num_target=20)

    def terms(**weights):
        config = DistillationConfig(**weights)
        objective = DistillationObjective(weights=config, encoder_map=[0, 2], decoder_map=[2])
        return {name: term.item() for name, term in objective(student, tiny_batch, teacher, counts).items()}

    full = terms()
    assert all(value > 0 for value in full.values())
    assert terms(**{off: 0.0}) == {name: value for name, value in full.items() if name != f"{off}_loss"}
    assert terms(**{off: 3.0})[f"{off}_loss"] == pytest.approx(3 * full[f"{off}_loss"], rel=1e-6)


def test_every_term_is_the_mean_over_layers_divided_by_its_own_token_count(make_bart, tiny_batch):
    """Encoder terms by source tokens, all others by target tokens; smoothing and temperature are passed on."""
    teacher, engine = signals_of(make_bart(3, 3, seed=1), tiny_batch), Engine(make_bart(2, 1))
    student, source, target = signals_of(engine.forward, tiny_batch), tiny_batch.source_mask, tiny_batch.target_mask
    config = DistillationConfig(logits=0.5, temperature=2.0, encoder_hidden=4.0)
    objective = DistillationObjective(weights=config, encoder_map=[0, 2], decoder_map=[2], label_smoothing=0.1)

    def mean(loss, kind, layers, mask):
        pairs = zip(getattr(student, kind), layers, strict=True)
        return sum(loss(mine, getattr(teacher, kind)[layer], mask) for mine, layer in pairs) / len(layers)

    attention, hidden = losses.attention_square_sum, losses.mean_square_sum
    expected = {
        "task_loss": losses.cross_entropy_sum(student.logits, tiny_batch.labels, 0.1) / 20,
        "logits_loss": 0.5 * losses.logits_kl_sum(student.logits, teacher.logits, target, 2.0) / 20,
        "encoder_attention_loss": mean(attention, "encoder_attention", [0, 2], source) / 30,
        "decoder_attention_loss": mean(attention, "decoder_attention", [2], target) / 20,
        "cross_attention_loss": mean(attention, "cross_attention", [2], target) / 20,
        "encoder_hidden_loss": 4.0 * mean(hidden, "encoder_hidden", [0, 1, 3], source) / 30,
        "decoder_hidden_loss": mean(hidden, "decoder_hidden", [0, 3], target) / 20,
    }
    terms = objective(engine, tiny_batch, teacher, TokenCounts(num_source=30, num_target=20))
    assert list(terms) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-5, atol=0)


def test_layer_losses_compare_each_layer_with_its_teacher_layer(make_bart, tiny_batch):
    """A student made of teacher signals by its map has a distance of zero; by another map it has not."""
    model, batch = make_bart(3, 3), tiny_batch
    signals = signals_of(model, batch)
    taken = Signals(
        logits=signals.logits,
        encoder_hidden=tuple(signals.encoder_hidden[i] for i in (0, 1, 3)),
        decoder_hidden=tuple(signals.decoder_hidden[i] for i in (0, 3)),
        encoder_attention=tuple(signals.encoder_attention[i] for i in (0, 2)),
        decoder_attention=(signals.decoder_attention[2],),
        cross_attention=(signals.cross_attention[2],),
    )
    output = type("Output", (), {f"{n}_states" if "hidden" in n else f"{n}s": v for n, v in vars(taken).items()})
    output.logits = taken.logits
    engine, counts = Engine(lambda **_: output), TokenCounts(num_source=1, num_target=1)
    right = DistillationObjective(weights=DistillationConfig(), encoder_map=[0, 2], decoder_map=[2])
    wrong = DistillationObjective(weights=DistillationConfig(), encoder_map=[0, 1], decoder_map=[1])
    assert all(right(engine, batch, signals, counts)[name].item() == 0 for name in SQUARED)
    assert all(wrong(engine, batch, signals, counts)[name].item() > 0 for name in SQUARED)


def test_without_a_teacher_only_the_task_counts(make_bart, tiny_batch):
    """Divided by the global number of target tokens."""
    model, counts = make_bart(1, 1), TokenCounts(num_source=1, num_target=50)
    logits = signals_of(model, tiny_batch, attention=False, hidden=False).logits
    terms = TaskObjective()(Engine(model), tiny_batch, None, counts)
    assert list(terms) == ["task_loss"]
    assert torch.equal(terms["task_loss"], losses.cross_entropy_sum(logits, tiny_batch.labels) / 50)


def test_removed_heads_are_compared_with_the_teacher_s_same_heads(make_bart, tiny_batch):
    """In the first layer, whose input is the teacher's, what is left attends as it did there: distance 0."""
    teacher = make_bart(1, 1)
    heads = {"model.encoder.layers.0.self_attn": [1, 3]}
    student = build_student(teacher, [0], [0], 0.0, heads).eval()
    off = dict.fromkeys(
        ("task", "logits", "decoder_attention", "cross_attention", "encoder_hidden", "decoder_hidden"), 0
    )
    signals, counts = signals_of(teacher, tiny_batch), TokenCounts(num_source=9, num_target=9)

    def distance(kept):
        objective = DistillationObjective(
            weights=DistillationConfig(**off),
            encoder_map=[0],
            decoder_map=[0],
            heads={"encoder": {0: kept}} if kept else {},
        )
        return objective(Engine(student), tiny_batch, signals, counts)["encoder_attention_loss"].item()

    assert distance([1, 3]) < 1e-12
    assert distance([0, 2]) > 1e-6
    with pytest.raises(RuntimeError):
        distance(None)
