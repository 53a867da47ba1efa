"""The terms that are off by default: relations, the contrastive term, other kinds of distances."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.config.sections.recipe import DistillationConfig
from pipeline.distillation import losses
from pipeline.distillation.objective import DistillationObjective, signals_of
from pipeline.distillation.recording import modules_named, relations_of
from pipeline.distillation.relations import contrastive_sum, relation_kl_sum
from pipeline.training.loop import TokenCounts

DEFAULTS = ["task", "logits", "encoder_attention", "decoder_attention", "cross_attention"]
DEFAULTS += ["encoder_hidden", "decoder_hidden"]
NOTHING = dict.fromkeys(DEFAULTS, 0.0)
LATER = {"encoder_relations": 1.0, "decoder_relations": 1.0, "contrastive": 1.0}
COUNTS = TokenCounts(num_source=30, num_target=20)


def engine_of(student):
    """Only what an objective asks of an engine."""
    return SimpleNamespace(module=student, forward=student)


def objective_of(student, teacher, **weights):
    """An objective over the last layers, and the teacher pass that it needs."""
    config = DistillationConfig(**weights)
    maps = {"encoder_map": [teacher.config.encoder_layers - 1], "decoder_map": [teacher.config.decoder_layers - 1]}
    relations = relations_of(config, student, teacher)
    objective = DistillationObjective(weights=config, relations=relations, **maps)

    @torch.no_grad()
    def teacher_pass(batch):
        return signals_of(teacher, batch, recorded=modules_named(teacher, objective.teacher_modules))

    return objective, teacher_pass


def test_a_batch_of_fillers_has_losses_of_exactly_zero_and_a_gradient(make_bart, batch_of):
    """So an idle rank takes part in collective communication without changing anything."""
    teacher, student, filler = make_bart(2, 2, seed=1), make_bart(1, 1), batch_of([])
    objective, teacher_pass = objective_of(student, teacher, attention_kind="kl", hidden_kind="normalised", **LATER)
    terms = objective(engine_of(student), filler, teacher_pass(filler), COUNTS)
    assert set(terms) == {f"{name}_loss" for name in (*DEFAULTS, *LATER)}
    assert [term.item() for term in terms.values()] == [0.0] * len(terms)
    sum(terms.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in student.parameters())


@pytest.mark.parametrize("name", LATER)
def test_a_later_term_is_there_iff_its_weight_is_above_zero(make_bart, tiny_batch, name):
    """Alone, too; linear in its weight, which `weight` tells; the teacher is recorded only for relations."""
    teacher, student = make_bart(2, 2, seed=1), make_bart(1, 1)
    seen = []
    for weight in (1.0, 2.5):
        objective, teacher_pass = objective_of(student, teacher, **NOTHING | {name: weight})
        assert objective.weight(f"{name}_loss") == weight
        assert len(objective.teacher_modules) == len(teacher_pass(tiny_batch).outputs) == 3 * ("relations" in name)
        terms = objective(engine_of(student), tiny_batch, teacher_pass(tiny_batch), COUNTS)
        assert list(terms) == [f"{name}_loss"]
        seen.append(terms[f"{name}_loss"].item())
    assert seen[1] == pytest.approx(2.5 * seen[0], rel=1e-6)
    assert seen[0] > 0


def vectors_of(model, batch, side, layer):
    """Queries, keys and values of a self-attention, from the hidden states before it."""
    attention = getattr(model.model, side).layers[layer].self_attn
    states = getattr(signals_of(model, batch), f"{side}_hidden")[layer]
    return [linear(states) for linear in (attention.q_proj, attention.k_proj, attention.v_proj)]


@pytest.mark.parametrize(("heads", "setting"), [(4, None), (8, 8)])
def test_relations_are_the_mean_of_queries_keys_and_values(make_bart, tiny_batch, heads, setting):
    """Divided by the tokens of their side; without a setting cut into the teacher's heads, else into as many as set."""
    teacher, student = make_bart(3, 2, seed=1), make_bart(1, 1, d_model=16, encoder_attention_heads=2)
    weights = NOTHING | {"encoder_relations": 2.0, "decoder_relations": 1.0, "encoder_relation_layer": 1}
    objective, teacher_pass = objective_of(student, teacher, **weights, relation_heads=setting)
    terms = objective(engine_of(student), tiny_batch, teacher_pass(tiny_batch), COUNTS)

    def expected(side, teacher_layer, mask):
        mine, theirs = vectors_of(student, tiny_batch, side, 0), vectors_of(teacher, tiny_batch, side, teacher_layer)
        return sum(relation_kl_sum(*pair, mask, heads) for pair in zip(mine, theirs, strict=True)) / 3

    close = {"rtol": 1e-5, "atol": 0}
    encoder, decoder = expected("encoder", 1, tiny_batch.source_mask), expected("decoder", 1, tiny_batch.target_mask)
    torch.testing.assert_close(terms["encoder_relations_loss"], 2 * encoder / 30, **close)
    torch.testing.assert_close(terms["decoder_relations_loss"], decoder / 20, **close)


def test_the_contrastive_term_compares_the_last_decoder_states(make_bart, tiny_batch):
    """At its own temperature."""
    teacher, student = make_bart(3, 2, seed=1), make_bart(1, 1)
    objective, teacher_pass = objective_of(student, teacher, contrastive=3.0, contrastive_temperature=0.3)
    terms = objective(engine_of(student), tiny_batch, teacher_pass(tiny_batch), COUNTS)
    states = (signals_of(model, tiny_batch).decoder_hidden[-1] for model in (student, teacher))
    expected = 3 * contrastive_sum(*states, tiny_batch.target_mask, 0.3).item() / 20
    assert terms["contrastive_loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("kinds", "term", "loss"),
    [
        ({"attention_kind": "kl"}, "cross_attention", losses.attention_kl_sum),
        ({"hidden_kind": "normalised"}, "encoder_hidden", losses.normalised_square_sum),
    ],
)
def test_a_kind_says_how_attention_or_hidden_states_are_compared(make_bart, tiny_batch, kinds, term, loss):
    """And changes the terms of the other not at all."""
    teacher, student = make_bart(1, 1, seed=1), make_bart(1, 1)
    counts, signals = TokenCounts(num_source=1, num_target=1), signals_of(teacher, tiny_batch)
    plain, other = (
        objective_of(student, teacher, **choice)[0](engine_of(student), tiny_batch, signals, counts)
        for choice in ({}, kinds)
    )
    mask = tiny_batch.source_mask if term.startswith("encoder") else tiny_batch.target_mask
    pairs = zip(getattr(signals_of(student, tiny_batch), term), getattr(signals, term), strict=True)
    torch.testing.assert_close(other[f"{term}_loss"], torch.stack([loss(*pair, mask) for pair in pairs]).mean())
    for name, value in plain.items():
        assert torch.equal(value, other[name]) != (term.split("_")[1] in name)


def test_gradients_reach_the_student_alone_and_what_a_term_depends_on(make_bart, tiny_batch):
    """Encoder relations train no decoder and no layer norm behind the projections."""
    teacher, student = make_bart(2, 2, seed=1), make_bart(1, 1)
    objective, teacher_pass = objective_of(student, teacher, **NOTHING | {"encoder_relations": 1.0})
    terms = objective(engine_of(student), tiny_batch, teacher_pass(tiny_batch), COUNTS)
    sum(terms.values()).backward()
    trained = {name for name, parameter in student.named_parameters() if parameter.grad is not None}
    linears = {f"model.encoder.layers.0.self_attn.{name}_proj.weight" for name in "qkv"}
    assert linears < trained
    assert not any("decoder" in name or "final_layer_norm" in name for name in trained)
    assert all(parameter.grad is None for parameter in teacher.parameters())
