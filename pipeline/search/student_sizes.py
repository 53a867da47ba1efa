"""Parameters, bits and operations of students of every family in closed form.

Nothing here is published for the search; bytes are counted by the rule of the papers on quantized students.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pipeline.search.sizes import NORM, RMS_NORM, SOFTMAX, Operations, Parts
from pipeline.search.space import NOT_QUANTIZED, StudentArchitecture
from pipeline.search.teacher_shape import KeptStack, StackShape, TeacherShape


def student_parameters(student: StudentArchitecture, teacher: TeacherShape) -> Parts:
    """Trainable parameters p of a student.

    Raises:
        UserError: a student that would keep more than its teacher has.
    """
    return _parameters(teacher, teacher.kept_by(student))


def teacher_parameters(teacher: TeacherShape) -> Parts:
    """The same of a teacher, all layers and heads; its stacks may have different heads."""
    return _parameters(teacher, teacher.whole)


def _parameters(teacher: TeacherShape, kept: Sequence[KeptStack]) -> Parts:
    tables = sum(table.rows for table in (*teacher.tables, *teacher.positions)) + teacher.token_types
    ends = tables * teacher.hidden + sum(one.weights(()) + one.biases(()) for one in teacher.head)
    ends += teacher.head_norms * teacher.norm_parameters + teacher.trains_logits_bias * teacher.num_logits
    blocks = sum(_linear_parameters(kept).values())
    for stack, layers in kept:
        ends += stack.num_outer_norms * teacher.norm_parameters
        blocks += len(layers) * stack.num_norms * teacher.norm_parameters + stack.relative_positions
    return Parts(ends=ends, blocks=blocks)


def _linear_parameters(kept: Sequence[KeptStack]) -> dict[str, int]:
    """Name of every linear layer of the blocks -> its weights and biases."""
    return {
        f"{stack.prefix}.{layer}.{one.name}": one.weights(heads) + one.biases(heads)
        for stack, layers in kept
        for layer, heads in enumerate(layers)
        for one in stack.linears
    }


def student_bytes(
    student: StudentArchitecture, teacher: TeacherShape, patterns: Sequence[tuple[str, float]] = ()
) -> float:
    """Bytes of a student by the rule of the papers; what a packed folder really takes is measured, not computed.

    Token tables at the embedding bits, the output projection among them where it is a matrix of its own; weights and
    biases of linear layers at the weight bits; positions, norms and what is left at 32 bits; no scales.

    Args:
        student: what is kept.
        teacher: of whom.
        patterns: bits of single modules by patterns of their names, as in a recipe; the last match counts.

    Raises:
        UserError: a student that would keep more than its teacher has.
    """
    num_bits, left = 0.0, student_parameters(student, teacher).total
    for name, count, usual in _modules(student, teacher):
        special = [bits for pattern, bits in patterns if fnmatchcase(name, pattern)]
        num_bits += count * (special[-1] if special else usual)
        left -= count
    return (num_bits + left * NOT_QUANTIZED) / 8


def _modules(student: StudentArchitecture, teacher: TeacherShape) -> Iterator[tuple[str, int, float]]:
    """Every module that can be quantized: name, parameters, bits of its kind."""
    for name, count in _linear_parameters(teacher.kept_by(student)).items():
        yield name, count, student.weight_bits
    for tables, bits in ((teacher.tables, student.embedding_bits), (teacher.positions, NOT_QUANTIZED)):
        for table in tables:
            bias = table.rows if teacher.trains_logits_bias and table.name == teacher.output else 0
            yield table.name, table.rows * teacher.hidden + bias, bits


def student_operations(
    student: StudentArchitecture, teacher: TeacherShape, num_source_tokens: int, num_target_tokens: int
) -> Operations:
    """Operations i of one forward pass over a source and its target, all target positions at once.

    Bits change nothing here: what they do to time depends on kernels and is measured.

    Args:
        student: what is kept.
        teacher: of whom.
        num_source_tokens: length of the source.
        num_target_tokens: length of the target; an encoder alone has none.

    Raises:
        UserError: a student that would keep more than its teacher has.
    """
    return _operations(teacher, teacher.kept_by(student), num_source_tokens, num_target_tokens)


def teacher_operations(teacher: TeacherShape, num_source_tokens: int, num_target_tokens: int) -> Operations:
    """The same of a teacher, all layers and heads; its stacks may have different heads."""
    return _operations(teacher, teacher.whole, num_source_tokens, num_target_tokens)


def _operations(
    teacher: TeacherShape, kept: Sequence[KeptStack], num_source_tokens: int, num_target_tokens: int
) -> Operations:
    products, others = Parts(ends=0, blocks=0), _head_others(teacher, num_target_tokens)
    for (stack, layers), tokens in zip(kept, (num_source_tokens, num_target_tokens), strict=False):
        others += Parts(ends=_outer_others(stack, teacher, tokens), blocks=0)
        for heads in layers:
            counts = (heads, tokens, num_source_tokens)
            products += Parts(ends=0, blocks=_layer_products(stack, *counts))
            others += Parts(ends=0, blocks=_layer_others(stack, teacher, *counts))
    head = teacher.hidden * teacher.num_logits * num_target_tokens
    head += _head_rows(teacher, num_target_tokens) * sum(one.weights(()) for one in teacher.head)
    return Operations(products=products + Parts(ends=2 * head, blocks=0), others=others)


def _layer_products(stack: StackShape, heads: Sequence[int], num_tokens: int, num_source_tokens: int) -> int:
    """Multiplications and additions of a layer's matrix products."""
    linears = sum(one.weights(heads) * (num_source_tokens if one.reads_source else num_tokens) for one in stack.linears)
    num_scores = sum(_scores(stack, heads, num_tokens, num_source_tokens))
    scores_and_values = 2 * num_tokens * stack.head_width * num_scores
    return 2 * (linears + scores_and_values)


def _layer_others(
    stack: StackShape, teacher: TeacherShape, heads: Sequence[int], num_tokens: int, num_source_tokens: int
) -> int:
    """Other operations of a layer: biases, softmax, activation function, residuals, norms."""
    biases = sum(one.biases(heads) * (num_source_tokens if one.reads_source else num_tokens) for one in stack.linears)
    softmax = SOFTMAX - (not teacher.scales_scores)
    num_scores = _scores(stack, heads, num_tokens, num_source_tokens)
    scores = softmax * sum(num_scores) + (num_scores[0] if stack.relative_positions else 0)  # those are added to scores
    activation = stack.intermediate * (teacher.activation + stack.gated)
    residuals = (stack.num_attentions + 1) * teacher.hidden
    norms = stack.num_norms * _norm(teacher)
    return biases + num_tokens * (scores + activation + residuals + norms)


def _outer_others(stack: StackShape, teacher: TeacherShape, num_tokens: int) -> int:
    """Other operations before and behind a stack's layers."""
    sums = (stack.num_added_tables + teacher.scales_embeddings) * teacher.hidden
    return num_tokens * (sums + stack.num_outer_norms * _norm(teacher))


def _head_rows(teacher: TeacherShape, num_target_tokens: int) -> int:
    """Positions that the head reads."""
    return num_target_tokens if teacher.head_reads_targets else 1


def _head_others(teacher: TeacherShape, num_target_tokens: int) -> Parts:
    """Other operations of the output projection and of the head: biases, tanh or activation function, norms."""
    target = num_target_tokens * (teacher.scales_output * teacher.hidden + teacher.logits_bias * teacher.num_logits)
    if teacher.head_reads_targets:
        each = sum(one.biases(()) + teacher.activation * one.outputs for one in teacher.head)
        return Parts(ends=target + num_target_tokens * (each + teacher.head_norms * _norm(teacher)), blocks=0)
    tanh = sum(one.outputs for one in teacher.head[:-1])
    return Parts(ends=target + tanh + sum(one.biases(()) for one in teacher.head), blocks=0)


def _norm(teacher: TeacherShape) -> int:
    """Operations of a norm for one position."""
    return (NORM if teacher.norm_shifts else RMS_NORM) * teacher.hidden


def _scores(stack: StackShape, heads: Sequence[int], num_tokens: int, num_source_tokens: int) -> list[int]:
    """Scores of a position in each attention of a layer, over heads and keys: its own tokens first, then the source."""
    num_keys = (num_tokens, num_source_tokens)[: stack.num_attentions]
    return [count * keys for count, keys in zip(heads, num_keys, strict=True)]
