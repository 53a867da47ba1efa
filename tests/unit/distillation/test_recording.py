"""Recording: which linears relations come from, their outputs, and that nothing is left on a model."""

import gc
import weakref

import pytest
import torch

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import DistillationConfig, QuantizationConfig
from pipeline.distillation.objective import signals_of
from pipeline.distillation.recording import check_relations, modules_named, recorded_outputs, relations_of
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of

LAYERS = {"encoder": 3, "decoder": 2}


def linears(side, layer):
    return tuple(f"model.{side}.layers.{layer}.self_attn.{name}_proj" for name in "qkv")


@pytest.fixture
def models(make_bart):
    """A quantized 2-1 student and its 12-3 teacher: layer 11 is the last, not the one whose name sorts last."""
    teacher = make_bart(12, 3, seed=1)
    student = build_student(teacher, [0, 11], [2], 0.0)
    prepare_student(student, scheme_of("2-2-8", QuantizationConfig()))
    return student, teacher


def test_relations_come_from_the_last_layers_or_the_teacher_layer_that_is_set(models):
    """Self-attention only, and only of sides whose weight is not 0."""
    student, teacher = models
    assert relations_of(DistillationConfig(), student, teacher) == {}
    both = relations_of(DistillationConfig(encoder_relations=1, decoder_relations=1), student, teacher)
    assert both["encoder"].student == linears("encoder", 1)
    assert both["encoder"].teacher == linears("encoder", 11)
    assert (both["decoder"].student, both["decoder"].teacher) == (linears("decoder", 0), linears("decoder", 2))
    chosen = DistillationConfig(encoder_relations=0.5, encoder_relation_layer=0, decoder_relation_layer=1)
    relations = relations_of(chosen, student, teacher)
    assert set(relations) == {"encoder"}
    assert relations["encoder"].teacher == linears("encoder", 0)


def test_recorded_outputs_are_those_of_the_linears(models, tiny_batch):
    """The values of a linear on the hidden states of the layer before; of what is not named, nothing."""
    _, teacher = models
    names = linears("encoder", 2)
    signals = signals_of(teacher, tiny_batch, recorded=modules_named(teacher, names))
    assert tuple(signals.outputs) == names
    for name, layer in modules_named(teacher, names).items():
        torch.testing.assert_close(signals.outputs[name], layer(signals.encoder_hidden[2]))
    assert signals_of(teacher, tiny_batch).outputs == {}


def test_recording_changes_nothing_and_leaves_no_hook(models, tiny_batch):
    """The same logits; without hooks afterwards, whether the forward pass returned or not."""
    for model in models:
        modules = modules_named(model, linears("decoder", 0))
        plain, before = signals_of(model, tiny_batch).logits, hooks_of(model)
        assert torch.equal(signals_of(model, tiny_batch, recorded=modules).logits, plain)
        with pytest.raises(RuntimeError, match="broken"), recorded_outputs(modules):
            model(input_ids=tiny_batch.input_ids, decoder_input_ids=tiny_batch.decoder_input_ids)
            raise RuntimeError("broken")
        with pytest.raises(ValueError, match="halfway"):
            signals_of(breaking(model), tiny_batch, recorded=modules)
        assert hooks_of(model) == before


def hooks_of(model):
    """Those of transformers among them."""
    return {name: list(module._forward_hooks) for name, module in model.named_modules()}


def breaking(model):
    """A forward pass that raises after it recorded."""

    def forward(**inputs):
        model(**inputs)
        raise ValueError("halfway")

    return forward


def test_a_recorded_graph_goes_with_its_signals(models, tiny_batch):
    """Outputs are kept by the signals alone."""
    student, _ = models
    signals = signals_of(student, tiny_batch, recorded=modules_named(student, linears("encoder", 1)))
    kept = [weakref.ref(output) for output in signals.outputs.values()]
    assert all(one().grad_fn is not None for one in kept)
    del signals
    gc.collect()
    assert [one() for one in kept] == [None] * 3


@pytest.mark.parametrize(
    ("settings", "given", "change"),
    [
        ({"encoder_relation_layer": 3}, "encoder_relation_layer=3 for a teacher of 3", "encoder_relation_layer=2"),
        ({"decoder_relation_layer": 2}, "decoder_relation_layer=2 for a teacher of 2", "decoder_relation_layer=1"),
        ({"relation_heads": 5}, "relation_heads=5 for queries, keys and values of width 32", "relation_heads=null"),
        ({"relation_heads": 64}, "relation_heads=64", "relation_heads=null"),
    ],
)
def test_relations_that_the_teacher_does_not_have_are_refused(settings, given, change):
    """Before training, with what to change."""
    with pytest.raises(UserError) as caught:
        check_relations(DistillationConfig(encoder_relations=1, **settings), LAYERS, 32)
    assert f"recipe.distillation.{given}" in str(caught.value)
    assert f"Change: set recipe.distillation.{change}" in str(caught.value)


def test_relations_that_the_teacher_has_are_accepted():
    """The last layer, every divisor of the width, the defaults."""
    check_relations(DistillationConfig(), LAYERS, 32)
    for heads in (1, 2, 8, 32):
        settings = {"encoder_relation_layer": 2, "decoder_relation_layer": 1, "relation_heads": heads}
        check_relations(DistillationConfig(**settings), LAYERS, 32)
