"""Closed forms of the search are what the built models are, to the last unit."""

from dataclasses import replace

import pytest
import torch
from teachers import ADAPTERS, PUBLISHED, config_named
from torch.utils.flop_counter import FlopCounterMode
from transformers import BartConfig, BertConfig, BertModel

from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.models.families import family_of
from pipeline.models.student import empty_model, meta_model, sites_of
from pipeline.models.teacher_shape import teacher_shape
from pipeline.pruning.importance import num_kept
from pipeline.quantization.footprint import paper_bytes
from pipeline.quantization.prepare import quantized_weights
from pipeline.quantization.scheme import scheme_of
from pipeline.search.sizes import EncoderEnds, encoder_operations, encoder_parameters
from pipeline.search.space import EncoderArchitecture, EncoderSpace, StudentArchitecture
from pipeline.search.student_sizes import (
    student_bytes,
    student_operations,
    student_parameters,
    teacher_operations,
    teacher_parameters,
)
from pipeline.stages.random_students import cut_student

ENCODERS = EncoderSpace(layers=(1, 3), heads=(2, 3), hidden=(12, 16), intermediate=(8, 20)).points()
# Some of these parts of the heads do not divide evenly over the attentions.
DEPTHS_AND_HEADS = [((1, 1), 0.25), ((3, 1), 0.5), ((1, 2), 1.0), ((3, 2), 0.7), ((2, 2), 0.4)]


CASES = [*sorted(ADAPTERS), *PUBLISHED]


def trained(model):
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def counted(model, **inputs):
    """Multiplications and additions of every matrix product that a forward pass runs."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    return counter.get_total_flops()


def tokens(count):
    return torch.full((1, count), 3)


def of_targets(teacher, count):
    """What a masked LM is asked for beside its source: so many targets at its beginning."""
    is_masked = family_of(teacher.config).kind == "masked LM"
    return {"target_positions": torch.zeros(1, count, dtype=torch.long)} if is_masked else {}


def encoder_of(one: EncoderArchitecture, ends: EncoderEnds) -> BertModel:
    config = BertConfig(
        vocab_size=ends.vocabulary,
        max_position_embeddings=ends.positions,
        type_vocab_size=ends.token_types,
        num_hidden_layers=one.layers,
        num_attention_heads=one.heads,
        hidden_size=one.hidden,
        intermediate_size=one.intermediate,
        attn_implementation="eager",
    )
    return BertModel(config, add_pooling_layer=ends.pooler).eval()


@pytest.fixture(scope="module", params=CASES)
def teacher(request):
    """A small model of a family with random weights."""
    torch.manual_seed(0)
    return empty_model(config_named(request.param)).eval()


@pytest.fixture(params=DEPTHS_AND_HEADS, ids=str)
def student(request, teacher):
    """(architecture, model): layers of the teacher and part of its heads, as the packages of candidates have them."""
    (encoder, decoder), part = request.param
    decoder = decoder if family_of(teacher.config).decoder else 0
    model, _ = cut_student(teacher, (list(range(encoder)), list(range(decoder))), part)
    there = teacher_shape(teacher.config).num_heads(encoder, decoder)
    architecture = StudentArchitecture(
        encoder_layers=encoder,
        decoder_layers=decoder,
        heads=num_kept(part, sum(there), len(there)),
        weight_bits=1.58,
        embedding_bits=8,
    )
    return architecture, model


@pytest.mark.parametrize("ends", [EncoderEnds(vocabulary=30, positions=11), EncoderEnds(vocabulary=7, pooler=False)])
@pytest.mark.parametrize("one", ENCODERS, ids=str)
def test_encoders_have_the_parameters_of_the_built_model(one, ends):
    """Every point of a space, with and without a pooler; models without memory."""
    with torch.device("meta"):
        model = encoder_of(one, ends)
    assert encoder_parameters(one, ends).total == trained(model)
    blocks = sum(trained(layer) for layer in model.encoder.layer)
    assert encoder_parameters(one, ends).blocks == blocks


@pytest.mark.parametrize("num_tokens", [1, 9])
@pytest.mark.parametrize("one", ENCODERS, ids=str)
def test_encoders_run_the_products_of_the_closed_form(one, num_tokens):
    """Every matrix product of a forward pass, as torch counts them."""
    ends = EncoderEnds(vocabulary=30, positions=11)
    products = encoder_operations(one, ends, num_tokens).products
    assert products.total == counted(encoder_of(one, ends), input_ids=tokens(num_tokens))


def test_students_have_the_parameters_of_the_built_model(student, teacher):
    """Layers cut and heads removed as in a sweep; those of the layers and those outside."""
    (one, model), stacks = student, family_of(teacher.config).stacks
    parameters = student_parameters(one, teacher_shape(teacher.config))
    assert parameters.total == trained(model)
    assert parameters.blocks == sum(trained(model.get_submodule(stack.prefix)) for stack in stacks)


@pytest.mark.parametrize("bits", [(1.58, 8), (32, 2)])
def test_students_have_the_bytes_of_the_built_model(student, teacher, bits):
    """By the papers' rule; a head of its own at the bits of the embedding."""
    one, model = student
    one = replace(one, weight_bits=bits[0], embedding_bits=bits[1])
    ruled = paper_bytes(model, sites_of(model), *bits)
    assert student_bytes(one, teacher_shape(teacher.config)) == pytest.approx(ruled, rel=1e-12)


PATTERNS = ["*=4", "*.0.*=1", "*[vq]*=8", "*shared=3", "*embed*=2", "*.[0-9].*out*=32"]


def test_bits_by_pattern_are_those_of_the_built_student(student, teacher):
    """Every module at the bits that a recipe with the same patterns gives it, also tables of tokens and positions."""
    one, model = student
    scheme = scheme_of("2-2-8", QuantizationConfig(bits=PATTERNS, position_bits=32))
    bits = quantized_weights(sites_of(model), scheme)
    assert len(set(bits.values())) > 2
    of = {id(p): count for name, count in bits.items() for p in model.get_submodule(name).parameters()}
    expected = sum(p.numel() * of.get(id(p), 32) for p in model.parameters() if p.requires_grad) / 8
    patterns = [(name, float(count)) for name, count in (entry.split("=") for entry in PATTERNS)]
    found = student_bytes(replace(one, weight_bits=2, embedding_bits=2), teacher_shape(teacher.config), patterns)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("lengths", [(9, 4), (3, 7), (1, 1)], ids=str)
def test_students_run_the_products_of_the_closed_form(student, teacher, lengths):
    """Source and target of different lengths; a classifier reads the source alone."""
    (one, model), (source, target) = student, lengths
    inputs = {"input_ids": tokens(source)}
    if family_of(teacher.config).decoder:
        inputs |= {"decoder_input_ids": tokens(target), "use_cache": False}
    inputs |= of_targets(teacher, target)
    products = student_operations(one, teacher_shape(teacher.config), source, target).products
    assert products.total == counted(model, **inputs)
    layers = [model.get_submodule(stack.prefix) for stack in family_of(teacher.config).stacks]
    assert products.blocks == products_inside(model, layers, inputs)


def test_teachers_have_the_parameters_and_products_of_the_built_model(teacher):
    """All layers and heads, also where encoder and decoder have different ones."""
    shape, inputs = teacher_shape(teacher.config), {"input_ids": tokens(9)}
    if family_of(teacher.config).decoder:
        inputs |= {"decoder_input_ids": tokens(4), "use_cache": False}
    inputs |= of_targets(teacher, 4)
    assert teacher_parameters(shape).total == trained(teacher)
    assert teacher_operations(shape, 9, 4).products.total == counted(teacher, **inputs)


def products_inside(model, lists, inputs):
    """Of the layers alone."""
    layers = {layer for one in lists for layer in one}
    total, counters = 0, {}

    def start(layer, _):
        counters[layer] = FlopCounterMode(display=False).__enter__()

    def end(layer, *_):
        nonlocal total
        counters[layer].__exit__(None, None, None)
        total += counters[layer].get_total_flops()

    hooks = [h for one in layers for h in (one.register_forward_pre_hook(start), one.register_forward_hook(end))]
    with torch.no_grad():
        model(**inputs)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_students_of_encoders_are_the_encoders_of_the_published_space(name):
    """Two ways to the same numbers: blocks as encoders have them, at the ends a classifier besides."""
    config = config_named(name)
    shape = teacher_shape(config)
    one = StudentArchitecture(encoder_layers=2, decoder_layers=0, heads=8, weight_bits=2, embedding_bits=2)
    other = EncoderArchitecture(layers=2, heads=4, hidden=config.hidden_size, intermediate=config.intermediate_size)
    ends = EncoderEnds(
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
        token_types=config.type_vocab_size,
    )
    last = config.hidden_size * config.num_labels
    parameters, operations = student_parameters(one, shape), student_operations(one, shape, 9, 0)
    published = encoder_operations(other, ends, 9)
    assert parameters.blocks == encoder_parameters(other, ends).blocks
    assert parameters.ends == encoder_parameters(other, ends).ends + last + config.num_labels
    assert (operations.products.blocks, operations.others.blocks) == (
        published.products.blocks,
        published.others.blocks,
    )
    assert operations.products.ends == published.products.ends + 2 * last
    assert operations.others.ends == published.others.ends + config.num_labels


def test_the_shape_of_a_teacher_needs_no_memory():
    """BART-large's parameters from its configuration alone."""
    config = BartConfig()
    whole = StudentArchitecture(encoder_layers=12, decoder_layers=12, heads=576, weight_bits=32, embedding_bits=32)
    assert student_parameters(whole, teacher_shape(config)).total == 406_291_456 == trained(meta_model(config))
