"""Bytes of packages that nobody has packed yet, and what is done with them: bits where they matter."""

import dataclasses
import itertools

import pytest
import torch
from teachers import RECIPES, config_named, maps, random_teacher

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import WEIGHT_BITS, QuantizationConfig, QuantizersConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.distillation.calibration_loss import CalibrationLoss
from pipeline.evaluation.sensitivity import sensitivities
from pipeline.export.package import PackageInfo, file_bytes, write_package
from pipeline.export.package_bytes import bit_choices, bytes_by_bits, package_bytes
from pipeline.models.families import families, family_named
from pipeline.models.student import build_student, empty_model, prepare_student, sharing_copy, sites_of
from pipeline.quantization.bit_patterns import patterns_for
from pipeline.quantization.one_at_a_time import block_parts
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.prepare import module_bits
from pipeline.quantization.scheme import scheme_of
from pipeline.search.mixed_bits import best_assignment

ALLOWED = {f.name: f.metadata["allowed"] for f in dataclasses.fields(QuantizersConfig)}


def with_quantizer(name):
    """A quantizer wherever it can be."""
    chosen = QuantizersConfig(**{field: name for field, allowed in ALLOWED.items() if name in allowed})
    return {"weights": chosen, "embeddings": chosen}


SETTINGS = {
    "best": ({}, WEIGHT_BITS),
    "dqbart": (RECIPES["dqbart"], (1.58, 2, 3, 4, 8, 32)),
    "groups": (RECIPES["groups"], WEIGHT_BITS),
    "asymmetric": (with_quantizer("asymmetric") | {"clip_value": 2.5, "post_activation": "asymmetric"}, (2, 8, 32)),
    "lsq": (with_quantizer("lsq") | {"weight_granularity": "per_tensor"}, WEIGHT_BITS),
    "seq": (with_quantizer("seq") | {"activation_granularity": "learned"}, WEIGHT_BITS),
}
ALL = ("best", "dqbart", "groups", "asymmetric", "lsq", "seq")


@pytest.fixture(params=sorted(families()))
def family(request):
    """Every family."""
    return family_named(request.param)


@pytest.fixture
def make_student(family):
    """A 2-2 student; other heads in every layer, where groups do not forbid it, and a bias of its logits."""

    def make(settings):
        teacher = random_teacher(family)
        sites = [site for site in sites_of(teacher).attentions if site.layer < 2]
        heads = {} if settings == "groups" else {site.module: [i % 3, 3] for i, site in enumerate(sites)}
        student = build_student(teacher, *maps(family, 0, 2), 0.0, heads).eval()
        if settings == "best" and hasattr(student, "final_logits_bias"):
            student.final_logits_bias.normal_(generator=torch.Generator().manual_seed(0))
        return student, heads

    return make


@pytest.fixture
def packed_size(family, tiny_tokenizer, tmp_path):
    """Bytes of the weights of a student that is packed."""
    numbers = itertools.count()

    def pack(student, heads, scheme):
        other, folder = sharing_copy(student), tmp_path / str(next(numbers))
        prepare_student(other, scheme)
        convert(other, sites_of(other), scheme)
        info = PackageInfo(
            scheme=scheme,
            encoder_map=[0, 2],
            decoder_map=maps(family, 0, 2)[1],
            heads=heads,
            decoding=DecodingConfig(),
            source_prefix="",
            source_language=None,
            target_language=None,
            max_source_tokens=32,
        )
        write_package(folder, other, tiny_tokenizer, info)
        return file_bytes(folder)

    return pack


def assigned(model, settings, wanted, name="2-2-8"):
    """A scheme with these bits by patterns."""
    quantization = QuantizationConfig(**SETTINGS[settings][0])
    usual = module_bits(sites_of(model), scheme_of(name, quantization))
    scheme = scheme_of(name, dataclasses.replace(quantization, bits=patterns_for(wanted, usual)))
    assert module_bits(sites_of(model), scheme) == usual | wanted
    return scheme


def mixed(model, settings, seed):
    """Bits of every module, drawn."""
    draw, bits = torch.Generator().manual_seed(seed), SETTINGS[settings][1]
    names = module_bits(sites_of(model), scheme_of("2-2-8", QuantizationConfig(**SETTINGS[settings][0])))
    return {name: float(bits[int(torch.randint(len(bits), (), generator=draw))]) for name in names}


@pytest.mark.parametrize("settings", ALL)
def test_a_package_has_the_bytes_that_were_predicted(make_student, packed_size, settings):
    """To the last one: uniform bits, and two mixtures; with all parts that a file has."""
    student, heads = make_student(settings)
    bits = SETTINGS[settings][1]
    uniform = [
        scheme_of(f"{b:g}-{b:g}-8", QuantizationConfig(**SETTINGS[settings][0])) for b in (bits[0], bits[-2], 32)
    ]
    for scheme in (*uniform, *(assigned(student, settings, mixed(student, settings, seed)) for seed in (0, 1))):
        assert package_bytes(student, scheme) == packed_size(student, heads, scheme), scheme


@pytest.mark.parametrize("settings", ALL)
def test_bytes_of_modules_add_up_to_the_file(make_student, settings):
    """They never say less; what they say more are digits of the header, a few bytes for each of its lines."""
    student, _ = make_student(settings)
    bits, quantization = SETTINGS[settings][1], QuantizationConfig(**SETTINGS[settings][0])
    sizes = bytes_by_bits(student, scheme_of("2-2-8", quantization), bits)
    at = [{name: float(count) for name in sizes.modules} for count in bits]
    for wanted in (*at, *(mixed(student, settings, seed) for seed in range(4))):
        total = sizes.rest + sum(sizes.modules[name][count] for name, count in wanted.items())
        exact = package_bytes(student, assigned(student, settings, wanted))
        num_lines = 3 * len(wanted) + len(list(student.state_dict()))
        assert 0 <= total - exact < 12 * num_lines
        assert total - exact < 0.1 * exact


def test_a_tied_head_that_is_not_quantized_keeps_its_matrix(make_student, packed_size, family):
    """As in DQ-BART's recipe: beside the codes of the embedding it is stored once more, at 32 bits only once."""
    student, heads = make_student("dqbart")
    table = sites_of(student).matrix_of[sites_of(student).embeddings[0]]
    sizes = bytes_by_bits(student, scheme_of("2-2-8", QuantizationConfig(**RECIPES["dqbart"])), (2, 32)).modules[table]
    matrix = student.get_submodule(table).weight.nbytes
    tied = family.decoder is not None and sites_of(student).matrix_of[family.lm_head] == table
    assert (sizes[32] < sizes[2] < matrix / 8) if tied else (sizes[2] < matrix / 8 < matrix < sizes[32])
    for count in (2, 32):
        scheme = assigned(student, "dqbart", {table: float(count)})
        assert package_bytes(student, scheme) == packed_size(student, heads, scheme)


@pytest.mark.parametrize("name", ["t5, gates and a head of its own", "marian, two vocabularies"])
@pytest.mark.parametrize("family", ["t5"], indirect=True)
def test_several_matrices_of_tokens_are_predicted_each(packed_size, family, name):
    """A head of its own, tables of its own for sources and targets; bits of each by pattern."""
    torch.manual_seed(0)
    student = empty_model(config_named(name)).eval()
    for seed in range(3):
        tables = dict.fromkeys(sites_of(student).matrix_of.values())
        wanted = mixed(student, "best", seed) | dict(zip(tables, (1.58, 8), strict=True))
        scheme = assigned(student, "best", wanted)
        assert package_bytes(student, scheme) == packed_size(student, {}, scheme)


def test_bits_go_where_they_matter(make_student, packed_size, family, tiny_batch):
    """From sensitivities to a package within its budget, which loses no more than uniform bits in as many bytes."""
    student, heads = make_student("best")
    batch = tiny_batch
    if family.decoder is None:
        labels = torch.arange(batch.labels.size(0)).remainder(2).unsqueeze(1)
        batch = dataclasses.replace(batch, decoder_input_ids=None, labels=labels)
    scheme = scheme_of("2-2-8", QuantizationConfig())
    groups, bits = block_parts(sites_of(student), scheme), (1, 2, 4, 8, 32)
    found = sensitivities(student, scheme, groups, bits, CalibrationLoss(batches=[batch]))
    sizes = bytes_by_bits(student, scheme, bits)

    choices = bit_choices(found, sizes)
    uniform = [next(option for option in choice.options if option.bits == 2) for choice in choices]
    budget = sum(one.num_bytes for one in uniform)
    answer = best_assignment(choices, budget)
    assert answer.loss <= sum(one.loss for one in uniform) and answer.gap == 0
    assert len(set(answer.bits.values())) > 1
    scheme = assigned(student, "best", answer.bits)
    assert packed_size(student, heads, scheme) == package_bytes(student, scheme) <= budget + sizes.rest
    with pytest.raises(UserError, match="bytes or more"):
        best_assignment(choices, 10)
