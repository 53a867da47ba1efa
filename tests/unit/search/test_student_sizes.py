"""Closed forms of students."""

from dataclasses import replace

import pytest

from pipeline.config.errors import UserError
from pipeline.search.sizes import GELU, NORM, attention_others, feed_forward_others
from pipeline.search.space import StudentArchitecture
from pipeline.search.student_sizes import student_bytes, student_operations, student_parameters, teacher_parameters
from pipeline.search.teacher_shape import LinearShape, StackShape, TableShape, TeacherShape

HIDDEN, WIDTH, INNER = 768, 64, 3072


def attention(name, reads_source=False):
    """Of BART: queries, keys, values, output."""
    into = {"inputs": HIDDEN, "outputs_per_head": WIDTH, "attention": int(reads_source)}
    return (
        LinearShape(name=f"{name}.q_proj", **into),
        LinearShape(name=f"{name}.k_proj", **into, reads_source=reads_source),
        LinearShape(name=f"{name}.v_proj", **into, reads_source=reads_source),
        LinearShape(name=f"{name}.out_proj", inputs_per_head=WIDTH, outputs=HIDDEN, attention=int(reads_source)),
    )


def stack(name, crosses):
    """Of BART-base."""
    feed_forward = (
        LinearShape(name="fc1", inputs=HIDDEN, outputs=INNER),
        LinearShape(name="fc2", inputs=INNER, outputs=HIDDEN),
    )
    return StackShape(
        prefix=f"model.{name}.layers",
        layers=6,
        heads=12,
        head_width=WIDTH,
        linears=(
            *attention("self_attn"),
            *(attention("encoder_attn", reads_source=True) if crosses else ()),
            *feed_forward,
        ),
        num_attentions=2 if crosses else 1,
        num_norms=3 if crosses else 2,
        intermediate=INNER,
    )


POSITIONS = [TableShape(name=f"model.{name}.embed_positions", rows=1026) for name in ("encoder", "decoder")]
BART_BASE = TeacherShape(
    hidden=HIDDEN,
    encoder=stack("encoder", crosses=False),
    decoder=stack("decoder", crosses=True),
    tables=(TableShape(name="model.shared", rows=50265),),
    output="model.shared",
    positions=tuple(POSITIONS),
    activation=GELU,
    logits_bias=True,
)
WHOLE = StudentArchitecture(encoder_layers=6, decoder_layers=6, heads=216, weight_bits=32, embedding_bits=32)


def test_the_whole_of_bart_base_has_its_published_size():
    """All layers, all heads, 32 bits: the checkpoint's parameters, four bytes each."""
    assert student_parameters(WHOLE, BART_BASE).total == 139_420_416
    assert student_bytes(WHOLE, BART_BASE) == 4 * 139_420_416


@pytest.mark.parametrize(
    ("bits", "depth", "ratio"), [(8, (6, 6), 3.86), (2, (6, 6), 13.62), (2, (6, 3), 16.50), (2, (1, 1), 27.70)]
)
def test_students_have_the_published_compression_ratios(bits, depth, ratio):
    """Those that the footprint of built models has, to the two decimals of the paper."""
    encoder, decoder = depth
    heads = sum(BART_BASE.num_heads(encoder, decoder))
    student = replace(WHOLE, encoder_layers=encoder, decoder_layers=decoder, heads=heads)
    student = replace(student, weight_bits=bits, embedding_bits=bits)
    assert round(student_bytes(WHOLE, BART_BASE) / student_bytes(student, BART_BASE), 2) == ratio


def test_every_parameter_of_the_space_costs():
    """Less of any one is fewer bytes; bits change no operations, what is cut changes both."""
    for change in ({"encoder_layers": 3, "heads": 180}, {"decoder_layers": 3, "heads": 144}, {"heads": 108}):
        less = replace(WHOLE, **change)
        assert student_bytes(less, BART_BASE) < student_bytes(WHOLE, BART_BASE)
        less_operations = student_operations(less, BART_BASE, 64, 16).total
        assert less_operations.total < student_operations(WHOLE, BART_BASE, 64, 16).total.total
        assert less_operations.ends == student_operations(WHOLE, BART_BASE, 64, 16).total.ends
    for change in ({"weight_bits": 2}, {"embedding_bits": 2}):
        less = replace(WHOLE, **change)
        assert student_bytes(less, BART_BASE) < student_bytes(WHOLE, BART_BASE)
        assert student_operations(less, BART_BASE, 64, 16) == student_operations(WHOLE, BART_BASE, 64, 16)


@pytest.mark.parametrize("change", [{"encoder_layers": 7}, {"decoder_layers": 7}, {"heads": 217}, {"heads": 17}])
def test_a_student_keeps_no_more_than_there_is(change):
    """The message names what the teacher has; of every attention one head stays."""
    for of in (student_parameters, student_bytes, lambda one, teacher: student_operations(one, teacher, 4, 4)):
        with pytest.raises(UserError, match="its teacher has"):
            of(replace(WHOLE, **change), BART_BASE)


@pytest.mark.parametrize(("encoder_alone", "depth"), [(True, 1), (False, 0)])
def test_a_student_has_a_decoder_where_its_teacher_has_one(encoder_alone, depth):
    """Neither more nor less."""
    teacher = replace(BART_BASE, decoder=None) if encoder_alone else BART_BASE
    with pytest.raises(UserError, match="its teacher has"):
        student_parameters(replace(WHOLE, decoder_layers=depth, heads=72), teacher)


def test_a_teacher_counts_the_heads_of_each_stack():
    """A student that keeps half of them keeps as many everywhere, as far as there are; the teacher has all of both."""
    wider = replace(BART_BASE, decoder=replace(BART_BASE.decoder, heads=24))
    assert wider.num_heads(1, 1) == [12, 24, 24]
    added = 6 * 2 * 12 * WIDTH * (4 * HIDDEN + 3)
    assert teacher_parameters(wider).total == teacher_parameters(BART_BASE).total + added
    assert teacher_parameters(BART_BASE) == student_parameters(WHOLE, BART_BASE)
    assert student_parameters(WHOLE, wider) == student_parameters(WHOLE, BART_BASE)


def test_other_operations_are_those_of_attentions_and_feed_forward_layers():
    """Written out: every layer's by the formulas of encoders; at the ends positions, norms and the bias of logits."""
    student = replace(WHOLE, encoder_layers=3, decoder_layers=2, heads=35)
    source, target, inner = 9, 4, 5 * WIDTH
    encoder = attention_others(HIDDEN, inner, 5, source, source) + feed_forward_others(HIDDEN, INNER, source)
    decoder = attention_others(HIDDEN, inner, 5, target, target) + attention_others(HIDDEN, inner, 5, target, source)
    decoder += feed_forward_others(HIDDEN, INNER, target)
    others = student_operations(student, BART_BASE, source, target).others
    assert others.blocks == 3 * encoder + 2 * decoder
    assert others.ends == (source + target) * HIDDEN * (1 + NORM) + target * 50265


def test_the_last_pattern_that_names_a_module_decides_its_bits():
    """Tables of tokens and positions go by their names, too; a pattern that names nothing changes nothing."""
    student = replace(WHOLE, weight_bits=2, embedding_bits=2)
    plain = student_bytes(student, BART_BASE)
    per_layer, positions = 2 * HIDDEN * INNER + HIDDEN + INNER, 1026 * HIDDEN
    for patterns, added_bits in (
        ([("*.layers.0.fc1", 8)], 6 * 2 * (HIDDEN * INNER + INNER)),
        ([("*.fc?", 8), ("model.decoder.*", 2), ("model.decoder.embed_positions", 32)], 6 * 6 * per_layer),
        ([("model.shared", 8)], 6 * 50265 * HIDDEN),
        ([("*positions", 8)], -24 * 2 * positions),
        ([("nothing", 8)], 0),
    ):
        assert student_bytes(student, BART_BASE, patterns) == plain + added_bits / 8


def test_heads_that_do_not_divide_evenly_go_to_the_first_attentions():
    """Which reads how many tokens: a head more in the encoder is not a head more in an attention to it."""
    depth = replace(WHOLE, encoder_layers=1, decoder_layers=1)
    for heads, kept in ((3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (36, [12, 12, 12])):
        (_, encoder), (_, decoder) = BART_BASE.kept_by(replace(depth, heads=heads))
        assert [*encoder[0], *decoder[0]] == kept
    operations = [student_operations(replace(depth, heads=heads), BART_BASE, 64, 16).total.total for heads in (3, 4, 5)]
    assert operations[1] - operations[0] > operations[2] - operations[1] > 0
