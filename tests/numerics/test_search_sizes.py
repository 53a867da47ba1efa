"""Closed forms of the search are what the built models are, to the last unit."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BartConfig, BartForConditionalGeneration, BertConfig, BertModel

from pipeline.models.student import build_student, sites_of
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.footprint import paper_bytes
from pipeline.search.sizes import EncoderEnds, encoder_operations, encoder_parameters
from pipeline.search.space import EncoderArchitecture, EncoderSpace, StudentArchitecture, StudentSpace
from pipeline.search.student_sizes import TeacherShape, student_bytes, student_operations, student_parameters

ENCODERS = EncoderSpace(layers=(1, 3), heads=(2, 3), hidden=(12, 16), intermediate=(8, 20)).points()
STUDENTS = StudentSpace(
    encoder_layers=(1, 3), decoder_layers=(1, 2), heads=(1, 4), weight_bits=(1, 1.58, 32), embedding_bits=(2, 8)
).points()
TEACHER = TeacherShape(
    encoder_layers=3,
    decoder_layers=2,
    heads=4,
    hidden=16,
    encoder_intermediate=20,
    decoder_intermediate=24,
    vocabulary=31,
    position_rows=66,
)


def trained(model):
    return sum(parameter.numel() for parameter in model.parameters())


def counted(model, **inputs):
    """Multiplications and additions of every matrix product that a forward pass runs."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    return counter.get_total_flops()


def tokens(count):
    return torch.ones(1, count, dtype=torch.long)


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


@pytest.fixture(scope="module")
def teacher():
    config = BartConfig(
        vocab_size=TEACHER.vocabulary,
        max_position_embeddings=TEACHER.position_rows - 2,
        d_model=TEACHER.hidden,
        encoder_layers=TEACHER.encoder_layers,
        decoder_layers=TEACHER.decoder_layers,
        encoder_attention_heads=TEACHER.heads,
        decoder_attention_heads=TEACHER.heads,
        encoder_ffn_dim=TEACHER.encoder_intermediate,
        decoder_ffn_dim=TEACHER.decoder_intermediate,
        attn_implementation="eager",
    )
    return BartForConditionalGeneration(config).eval()


def student_of(one: StudentArchitecture, teacher):
    """As a sweep builds it: layers of the teacher, some heads of every attention."""
    student = build_student(teacher, list(range(one.encoder_layers)), list(range(one.decoder_layers)), 0.0)
    sites = sites_of(student)
    remove_heads(student, sites, {site.module: list(range(one.heads)) for site in sites.attentions})
    return student.eval()


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


@pytest.mark.parametrize("one", STUDENTS, ids=str)
def test_students_have_the_parameters_and_bytes_of_the_built_model(one, teacher):
    """Layers cut and heads removed as in a sweep; bytes by the papers' rule, at any bits."""
    student = student_of(one, teacher)
    assert student_parameters(one, TEACHER).total == trained(student)
    ruled = paper_bytes(student, sites_of(student), one.weight_bits, one.embedding_bits)
    assert student_bytes(one, TEACHER) == pytest.approx(ruled, rel=1e-12)


@pytest.mark.parametrize("one", [one for one in STUDENTS if (one.weight_bits, one.embedding_bits) == (1, 2)], ids=str)
def test_students_run_the_products_of_the_closed_form(one, teacher):
    """A source of nine tokens, a target of four."""
    products = student_operations(one, TEACHER, 9, 4).products
    student = student_of(one, teacher)
    assert products.total == counted(student, input_ids=tokens(9), decoder_input_ids=tokens(4), use_cache=False)
