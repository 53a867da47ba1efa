"""Parameters, bits and operations of sequence-to-sequence students in closed form.

Of BART's kind: positions learned, normalisation after each part, one token table for both sides and the head. Nothing
here is published for the search; the bits are counted by the rule of the papers on quantized students.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.search.sizes import (
    NORM,
    Operations,
    Parts,
    attention_others,
    attention_parameters,
    attention_products,
    feed_forward_others,
    feed_forward_parameters,
)
from pipeline.search.space import NOT_QUANTIZED, StudentArchitecture


@dataclass(frozen=True, kw_only=True)
class TeacherShape:
    """What students take over from their teacher unchanged, and how many layers and heads there are to keep.

    Args:
        encoder_layers: of the teacher.
        decoder_layers: of the teacher.
        heads: of each of its attentions.
        hidden: the model's width.
        encoder_intermediate: width between the matrices of a feed-forward layer of the encoder.
        decoder_intermediate: of the decoder.
        vocabulary: rows of the token table.
        position_rows: rows of each table of positions (BART: two more than positions).
    """

    encoder_layers: int
    decoder_layers: int
    heads: int
    hidden: int
    encoder_intermediate: int
    decoder_intermediate: int
    vocabulary: int
    position_rows: int

    @property
    def head_width(self) -> int:
        """Values per head of a query, key or value."""
        return self.hidden // self.heads

    def check(self, student: StudentArchitecture) -> None:
        """Refuse a student that would keep more than there is.

        Raises:
            UserError: more layers or heads than the teacher has, or a teacher whose heads do not divide its width.
        """
        if self.hidden % self.heads:
            given = f"a teacher with {self.heads} heads in a width of {self.hidden}"
            raise UserError(given, f"heads that divide {self.hidden}", "change the teacher")
        for name in ("encoder_layers", "decoder_layers", "heads"):
            kept, there = getattr(student, name), getattr(self, name)
            if kept > there:
                raise UserError(
                    f"a student with {name.replace('_', ' ')} = {kept}; its teacher has {there}",
                    f"at most {there}",
                    "change the space or the teacher",
                )


def student_parameters(student: StudentArchitecture, teacher: TeacherShape) -> Parts:
    """Trainable parameters p of a student.

    Raises:
        UserError: a student that would keep more than its teacher has.
    """
    tables = (teacher.vocabulary + 2 * teacher.position_rows) * teacher.hidden
    norms = student.encoder_layers * 2 + student.decoder_layers * 3
    return Parts(
        ends=tables + 2 * 2 * teacher.hidden,
        blocks=_linear_parameters(student, teacher) + norms * 2 * teacher.hidden,
    )


def student_bytes(student: StudentArchitecture, teacher: TeacherShape) -> float:
    """Bytes of a student by the rule of the papers; what a packed folder really takes is measured, not computed.

    The token table at the embedding bits; weights and biases of linear layers at the weight bits; positions and norms
    at 32 bits; no scales.

    Raises:
        UserError: a student that would keep more than its teacher has.
    """
    table, linears = teacher.vocabulary * teacher.hidden, _linear_parameters(student, teacher)
    rest = student_parameters(student, teacher).total - table - linears
    return (table * student.embedding_bits + linears * student.weight_bits + rest * NOT_QUANTIZED) / 8


def student_operations(
    student: StudentArchitecture, teacher: TeacherShape, num_source_tokens: int, num_target_tokens: int
) -> Operations:
    """Operations i of one forward pass over a source and its target, all target positions at once.

    Bits change nothing here: what they do to time depends on kernels and is measured.

    Raises:
        UserError: a student that would keep more than its teacher has.
    """
    teacher.check(student)
    hidden, inner, heads = teacher.hidden, student.heads * teacher.head_width, student.heads
    source, target = num_source_tokens, num_target_tokens
    encoder = attention_products(hidden, inner, source, source) + 4 * source * hidden * teacher.encoder_intermediate
    decoder = attention_products(hidden, inner, target, target) + attention_products(hidden, inner, target, source)
    decoder += 4 * target * hidden * teacher.decoder_intermediate
    encoder_others = attention_others(hidden, inner, heads, source, source)
    encoder_others += feed_forward_others(hidden, teacher.encoder_intermediate, source)
    decoder_others = attention_others(hidden, inner, heads, target, target)
    decoder_others += attention_others(hidden, inner, heads, target, source)
    decoder_others += feed_forward_others(hidden, teacher.decoder_intermediate, target)
    return Operations(
        products=Parts(
            ends=2 * target * hidden * teacher.vocabulary,
            blocks=student.encoder_layers * encoder + student.decoder_layers * decoder,
        ),
        others=Parts(
            ends=(source + target) * hidden * (1 + NORM),
            blocks=student.encoder_layers * encoder_others + student.decoder_layers * decoder_others,
        ),
    )


def _linear_parameters(student: StudentArchitecture, teacher: TeacherShape) -> int:
    """Weights and biases of all linear layers of the blocks."""
    teacher.check(student)
    hidden = teacher.hidden
    attention = attention_parameters(hidden, student.heads * teacher.head_width)
    encoder = attention + feed_forward_parameters(hidden, teacher.encoder_intermediate)
    decoder = 2 * attention + feed_forward_parameters(hidden, teacher.decoder_intermediate)
    return student.encoder_layers * encoder + student.decoder_layers * decoder
