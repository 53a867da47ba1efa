"""Which teacher layer each student layer copies and imitates."""

from __future__ import annotations

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.sections.sweep import StudentConfig

# DQ-BART's released table for a 6-layer teacher; no single rounding rule reproduces it.
PUBLISHED = {
    6: {1: [5], 2: [0, 5], 3: [0, 2, 5], 4: [0, 2, 3, 5], 5: [0, 1, 3, 4, 5], 6: [0, 1, 2, 3, 4, 5]},
}


def layer_map(num_teacher: int, num_student: int, explicit: list[int] | None = None) -> list[int]:
    """The teacher layer of each student layer, in order.

    The published table where there is one; otherwise layers spaced as widely as possible, first and last included; a
    single layer is the last one.

    Args:
        num_teacher: layers of the teacher.
        num_student: layers of the student.
        explicit: a map given by the user, checked and returned.

    Raises:
        UserError: more student than teacher layers, or an explicit map of wrong length, order or range.
    """
    if explicit is not None:
        if len(explicit) != num_student or any(not 0 <= layer < num_teacher for layer in explicit):
            raise UserError(
                f"layer map {explicit} for {num_student} student layers",
                f"{num_student} numbers between 0 and {num_teacher - 1}",
                "set encoder_map or decoder_map",
            )
        if sorted(set(explicit)) != explicit:
            raise UserError(f"layer map {explicit}", "rising numbers without repetition", "sort the map")
        return explicit
    if not 1 <= num_student <= num_teacher:
        raise UserError(
            f"{num_student} student layers for a teacher of {num_teacher}",
            f"1 to {num_teacher} layers",
            "set another depth of the student",
        )
    if num_student in PUBLISHED.get(num_teacher, {}):
        return list(PUBLISHED[num_teacher][num_student])
    if num_student == 1:
        return [num_teacher - 1]
    return [round(i * (num_teacher - 1) / (num_student - 1)) for i in range(num_student)]


def student_maps(student: StudentConfig, num_layers: tuple[int, int]) -> tuple[list[int], list[int]]:
    """The layer maps of a student's encoder and decoder.

    Args:
        student: its depth, and its maps if it has some of its own.
        num_layers: encoder and decoder layers of the teacher; 0: it has no decoder.

    Raises:
        UserError: depths or layer maps that the teacher does not have.
    """
    (of_encoder, of_decoder), (num_encoder, num_decoder) = num_layers, student.num_layers
    if (num_decoder is None) != (of_decoder == 0):
        raise UserError(
            f"depth '{student.depth}' of a model with{'' if of_decoder else 'out'} decoder",
            f"encoder-decoder layers up to {of_encoder}-{of_decoder}, such as 6-3"
            if of_decoder
            else f"a number of encoder layers, 1 to {of_encoder}",
            "set the student's depth",
        )
    if num_decoder is None and student.decoder_map is not None:
        raise UserError(f"student '{student.name}' without decoder", "no decoder_map", "remove decoder_map")
    mistakes, encoder, decoder = Mistakes(), [], []
    with mistakes.noted():
        encoder = _map_of(student, of_encoder, num_encoder, student.encoder_map)
    with mistakes.noted():
        decoder = [] if num_decoder is None else _map_of(student, of_decoder, num_decoder, student.decoder_map)
    mistakes.tell()
    return encoder, decoder


def _map_of(student: StudentConfig, num_teacher: int, num_student: int, explicit: list[int] | None) -> list[int]:
    try:
        return layer_map(num_teacher, num_student, explicit)
    except UserError as error:
        raise UserError(f"depth '{student.depth}': {error.given}", error.allowed, error.change) from None
