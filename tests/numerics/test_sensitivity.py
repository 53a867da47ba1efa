"""Sensitivities: what a module alone does to the loss, without a trace in the model."""

import dataclasses
import math

import pytest
import torch
from teachers import RECIPES, maps, random_teacher

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig, QuantizersConfig
from pipeline.distillation.calibration_loss import CalibrationLoss, target_logits
from pipeline.evaluation.sensitivity import sensitivities
from pipeline.models.families import families, family_named
from pipeline.models.student import build_student, prepare_student, sharing_copy, sites_of
from pipeline.quantization.bit_patterns import patterns_for
from pipeline.quantization.fake_quantize import calibration, learns_activations
from pipeline.quantization.one_at_a_time import block_parts, single_modules
from pipeline.quantization.prepare import module_bits, weight_modules
from pipeline.quantization.scheme import scheme_of

ALLOWED = {f.name: f.metadata["allowed"] for f in dataclasses.fields(QuantizersConfig)}


def learned(name):
    """A learned quantizer wherever it can be."""
    return QuantizersConfig(**{field: name for field, allowed in ALLOWED.items() if name in allowed})


SETTINGS = {
    "best": {},
    "dqbart": RECIPES["dqbart"],
    "groups": RECIPES["groups"],
    "lsq": {"weights": learned("lsq"), "embeddings": learned("anchored")},
    "seq": {"weights": learned("seq"), "activation_granularity": "learned"},
}


@pytest.fixture(params=sorted(families()))
def family(request):
    """Every family."""
    return family_named(request.param)


@pytest.fixture
def model(family):
    """A 2-2 student with different heads in every layer."""
    teacher = random_teacher(family)
    heads = {site.module: [i % 3, 3] for i, site in enumerate(sites_of(teacher).attentions) if site.layer < 2}
    return build_student(teacher, *maps(family, 0, 2), 0.0, heads).train()


@pytest.fixture
def batches(family, tiny_batch):
    """One padded batch, twice; a classifier has one label an example."""
    if family.decoder is None:
        labels = torch.arange(tiny_batch.labels.size(0)).remainder(2).unsqueeze(1)
        tiny_batch = dataclasses.replace(tiny_batch, decoder_input_ids=None, labels=labels)
    return [tiny_batch, tiny_batch]


def state(model):
    """Everything that could change: tensors, their objects, classes, modes, settings."""
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = [id(tensor) for tensor in (*model.parameters(), *model.buffers())]
    modules = [(name, type(module), module.training, sorted(vars(module))) for name, module in model.named_modules()]
    return tensors, ids, modules, model.config.to_dict(), model.config._attn_implementation


def same(before, after):
    tensors, others = before[0], after[0]
    bits = all(torch.equal(tensors[name].view(torch.uint8), others[name].view(torch.uint8)) for name in tensors)
    return bits and tensors.keys() == others.keys() and before[1:] == after[1:]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_model_is_left_as_it_was(model, batches, settings):
    """Bit for bit, classes and modes included; also where a loss fails halfway."""
    scheme, before = scheme_of("2-2-8", QuantizationConfig(**SETTINGS[settings])), state(model)
    groups = block_parts(sites_of(model), scheme)
    if settings == "groups":  # two heads of eight are no rows of 32
        groups = [group for group in groups if all(model.get_submodule(n).weight.size(-1) % 32 == 0 for n in group)]
    found = sensitivities(model, scheme, groups, (2, 32), CalibrationLoss(batches=batches[:1]), activations=True)
    assert same(before, state(model))
    assert len(found) == len(groups) and all(math.isfinite(x) for one in found for x in one.losses.values())
    assert any(one.rises[2] != 0 for one in found)

    def fails(_):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        sensitivities(model, scheme, groups, (2,), fails)
    assert same(before, state(model))


@pytest.mark.parametrize("activations", [False, True])
def test_at_32_bits_the_loss_is_the_models_own(model, batches, activations):
    """To the last bit; with quantized activations it is that of a student without quantized weights."""
    scheme, loss = scheme_of("2-2-8", QuantizationConfig()), CalibrationLoss(batches=batches)
    groups = single_modules(sites_of(model), scheme)
    found = sensitivities(model, scheme, groups, (32,), loss, activations=activations)
    plain = sharing_copy(model).eval()
    if activations:
        prepare_student(plain, scheme_of("32-32-8", QuantizationConfig(position_bits=32)))
    assert {one.loss_before for one in found} == {one.losses[32] for one in found} == {loss(plain)}
    assert all(one.rises == {32: 0.0} for one in found)


@pytest.mark.parametrize(("settings", "bits"), [("best", 1), ("dqbart", 8), ("lsq", 3), ("seq", 2)])
def test_losses_are_those_of_a_student_with_these_bits(model, batches, settings, bits):
    """One module, two of them, all: as a recipe with their patterns prepares it before its first step."""
    quantization = QuantizationConfig(**SETTINGS[settings])
    scheme, loss = scheme_of("2-2-8", quantization), CalibrationLoss(batches=batches)
    sites = sites_of(model)
    names = list(weight_modules(sites, scheme))
    groups = [(names[0],), (names[-1],), (names[3], sites.matrix_of[sites.embeddings[0]]), tuple(names)]
    found = sensitivities(model, scheme, groups, (bits,), loss, activations=True)
    usual = module_bits(sites, scheme)
    for one in found:
        wanted = dict.fromkeys(usual, 32.0) | dict.fromkeys(one.modules, bits)
        mixed = scheme_of("2-2-8", dataclasses.replace(quantization, bits=patterns_for(wanted, usual)))
        assert module_bits(sites, mixed) == wanted
        student = sharing_copy(model).eval()
        prepare_student(student, mixed)
        if learns_activations(student):
            plain = sharing_copy(model).eval()  # scales as without quantized weights
            prepare_student(plain, scheme_of("32-32-8", dataclasses.replace(quantization, position_bits=32)))
            with calibration(plain):
                loss(plain)
            own = model.state_dict()
            scales = {name: tensor for name, tensor in plain.state_dict().items() if name not in own}
            student.load_state_dict(scales, strict=False)
        assert one.losses == {bits: loss(student)}


def test_parts_of_blocks_are_attentions_feed_forward_layers_and_tables(family, model):
    """Every module once."""
    scheme, sites = scheme_of("2-2-8", QuantizationConfig()), sites_of(model)
    parts = block_parts(sites, scheme)
    names = [name for part in parts for name in part]
    assert sorted(names) == sorted(weight_modules(sites, scheme))
    attentions = [{site.query, site.key, site.value, site.output} for site in sites.attentions]
    assert all(set(part) in attentions for part in parts if len(part) == 4)
    assert sum(len(part) == 4 for part in parts) == len(attentions)
    others = [part for part in parts if len(part) in (2, 3)]
    assert len(others) == 2 * len(family.stacks)
    assert all(any(name in sites.post_activations for name in part) for part in others)


def test_an_unknown_module_is_refused(model, batches):
    """With one that there is."""
    scheme = scheme_of("2-2-8", QuantizationConfig())
    with pytest.raises(UserError, match="sensitivity of nowhere"):
        sensitivities(model, scheme, [("nowhere",)], (2,), CalibrationLoss(batches=batches))


def test_a_loss_that_is_not_finite_is_told_as_such(model, batches):
    """The solver leaves such an option out."""
    scheme = scheme_of("2-2-8", QuantizationConfig())
    group = single_modules(sites_of(model), scheme)[:1]
    found = sensitivities(model, scheme, group, (2,), lambda _: math.nan)
    assert math.isnan(found[0].rises[2])


def test_the_distance_to_a_teacher_is_a_mean_over_target_tokens(model, batches, family):
    """Of itself it is 0; with the cross-entropy beside it both are added with their weights."""
    model, teacher = model.eval(), random_teacher(family)
    kept = target_logits(teacher, batches)
    assert CalibrationLoss(batches=batches, task=0, logits=1, teacher_logits=kept)(teacher) == pytest.approx(
        0, abs=1e-6
    )
    parts = [
        CalibrationLoss(batches=batches, task=task, logits=logits, teacher_logits=kept, temperature=2.0)(model)
        for task, logits in ((1, 0), (0, 1), (0.5, 3))
    ]
    assert parts[2] == pytest.approx(0.5 * parts[0] + 3 * parts[1], rel=1e-12)
    assert parts[0] == CalibrationLoss(batches=batches[:1])(model) and parts[1] > 0
