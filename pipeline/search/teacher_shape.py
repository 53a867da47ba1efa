"""What students take over from a teacher of any family, in numbers: matrices, tables, norms, heads.

A model's configuration says all of it; `pipeline/models/teacher_shape.py` reads it from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.config.errors import UserError
from pipeline.search.space import StudentArchitecture


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """A linear layer. Its sizes depend on how many heads are kept where it makes or reads heads.

    Args:
        name: inside its layer, such as self_attn.q_proj.
        inputs: values that it reads, those of heads apart.
        outputs: values that it gives, those of heads apart.
        inputs_per_head: values of each head that it reads (an attention's output).
        outputs_per_head: values of each head that it gives (queries, keys, values).
        bias: whether each output has one.
        attention: whose heads those are, of the attentions of its layer.
        reads_source: whether it reads what the encoder gave (keys and values of the attention to it).
    """

    name: str
    inputs: int = 0
    outputs: int = 0
    inputs_per_head: int = 0
    outputs_per_head: int = 0
    bias: bool = True
    attention: int = 0
    reads_source: bool = False

    def sizes(self, heads: Sequence[int]) -> tuple[int, int]:
        """(inputs, outputs) where each attention of the layer has so many heads; outside of layers there are none."""
        count = heads[self.attention] if heads else 0
        return self.inputs + self.inputs_per_head * count, self.outputs + self.outputs_per_head * count

    def weights(self, heads: Sequence[int]) -> int:
        """Weights of the matrix."""
        inputs, outputs = self.sizes(heads)
        return inputs * outputs

    def biases(self, heads: Sequence[int]) -> int:
        """Biases beside the matrix."""
        return self.sizes(heads)[1] if self.bias else 0


@dataclass(frozen=True, kw_only=True)
class TableShape:
    """A table of vectors: tokens or learned positions.

    Args:
        name: of the module, the first of those that share the table.
        rows: vectors in it, each as wide as the model.
    """

    name: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class StackShape:
    """An encoder or a decoder.

    Args:
        prefix: name of its list of layers, such as model.encoder.layers.
        layers: of the teacher.
        heads: of each of its attentions.
        head_width: values per head of a query, key or value; T5's heads need not divide the width.
        linears: those of one layer.
        num_attentions: two where each layer attends to the encoder, too.
        num_norms: in each layer.
        intermediate: values between the matrices of a feed-forward layer.
        gated: whether a second matrix makes a factor of each of them (T5 1.1, mT5).
        relative_positions: numbers in the table of relative positions that its first layer alone has. It stays whole
            when heads are removed.
        num_added_tables: tables that are added to the vectors of tokens: positions, token types.
        num_outer_norms: behind the embeddings, behind the last layer.
    """

    prefix: str
    layers: int
    heads: int
    head_width: int
    linears: tuple[LinearShape, ...]
    num_attentions: int
    num_norms: int
    intermediate: int
    gated: bool = False
    relative_positions: int = 0
    num_added_tables: int = 1
    num_outer_norms: int = 1


class KeptStack(NamedTuple):
    """What is kept of a stack: for every layer the heads of each of its attentions."""

    stack: StackShape
    layers: Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class TeacherShape:
    """What students take over from their teacher unchanged, and how many layers and heads there are to keep.

    Args:
        hidden: the model's width.
        encoder: its encoder.
        decoder: its decoder; none: an encoder alone, which classifies.
        tables: matrices of token vectors, the output projection among them, each once.
        output: name of the table that is the output projection; none of a classifier.
        positions: tables of learned positions; computed ones are no parameters.
        token_types: rows of the table that tells the texts of a pair apart.
        head: linear layers between the last layer and the output: of a classifier they read the first position, of a
            masked LM every target.
        head_reads_targets: which of the two.
        head_norms: norms among them.
        norm_shifts: whether norms subtract the mean and add a bias; RMS norms do neither.
        activation: operations per value of the activation function.
        scales_embeddings: whether token vectors are multiplied by a constant.
        scales_scores: whether products of queries and keys are.
        scales_output: whether what the output projection reads is.
        logits_bias: whether a number is added to every logit.
        trains_logits_bias: whether it is a parameter; else it is stored and never trained.
    """

    hidden: int
    encoder: StackShape
    decoder: StackShape | None
    tables: tuple[TableShape, ...]
    output: str | None
    positions: tuple[TableShape, ...] = ()
    token_types: int = 0
    head: tuple[LinearShape, ...] = ()
    head_reads_targets: bool = False
    head_norms: int = 0
    norm_shifts: bool = True
    activation: int
    scales_embeddings: bool = False
    scales_scores: bool = True
    scales_output: bool = False
    logits_bias: bool = False
    trains_logits_bias: bool = False

    @property
    def encoder_layers(self) -> int:
        """Depth of the encoder."""
        return self.encoder.layers

    @property
    def decoder_layers(self) -> int:
        """Depth of the decoder; 0 without one."""
        return 0 if self.decoder is None else self.decoder.layers

    @property
    def norm_parameters(self) -> int:
        """Of one norm."""
        return (2 if self.norm_shifts else 1) * self.hidden

    @property
    def num_logits(self) -> int:
        """Logits of one target position; 0 of a classifier, whose layers say how many it has."""
        return sum(table.rows for table in self.tables if table.name == self.output)

    def kept_by(self, student: StudentArchitecture) -> tuple[KeptStack, ...]:
        """What a student keeps of encoder and decoder.

        Raises:
            UserError: more layers or heads than the teacher has, or an attention without heads; a decoder lost, or
                asked of an encoder alone.
        """
        self._check(student)
        stacks = self._with_depths(student.encoder_layers, student.decoder_layers)
        heads = iter(_spread(student.heads, _heads_of(stacks)))
        return tuple(
            KeptStack(stack, [[next(heads) for _ in range(stack.num_attentions)] for _ in range(stack.layers)])
            for stack in stacks
        )

    def num_heads(self, encoder_layers: int, decoder_layers: int) -> list[int]:
        """The heads of every attention of a student of this depth that keeps all of them."""
        return _heads_of(self._with_depths(encoder_layers, decoder_layers))

    @property
    def whole(self) -> tuple[KeptStack, ...]:
        """All layers and heads of encoder and decoder."""
        return tuple(KeptStack(stack, [[stack.heads] * stack.num_attentions] * stack.layers) for stack in self._stacks)

    def _with_depths(self, *depths: int) -> list[StackShape]:
        return [replace(stack, layers=layers) for stack, layers in zip(self._stacks, depths, strict=False)]

    @property
    def _stacks(self) -> tuple[StackShape, ...]:
        return (self.encoder,) if self.decoder is None else (self.encoder, self.decoder)

    def _check(self, student: StudentArchitecture) -> None:
        change = "change the space or the teacher"
        for name in ("encoder_layers", "decoder_layers"):
            kept, there = getattr(student, name), getattr(self, name)
            if kept > there:
                given = f"a student with {name.replace('_', ' ')} = {kept}; its teacher has {there}"
                raise UserError(given, f"at most {there}", change)
        if self.decoder is not None and not student.decoder_layers:
            raise UserError("a student without a decoder; its teacher has one", "one layer of it or more", change)
        heads = self.num_heads(student.encoder_layers, student.decoder_layers)
        if not len(heads) <= student.heads <= sum(heads):
            given = (
                f"a student with {student.heads} heads in {len(heads)} attentions; its teacher has {sum(heads)} there"
            )
            raise UserError(given, f"{len(heads)} to {sum(heads)}", change)


def _heads_of(stacks: Sequence[StackShape]) -> list[int]:
    """Of every attention, in the order of stacks, of their layers, and of the attentions of a layer."""
    return [stack.heads for stack in stacks for _ in range(stack.layers * stack.num_attentions)]


def _spread(num_heads: int, there: Sequence[int]) -> list[int]:
    """How many heads each attention keeps: all as many, as far as they have them; what is left over goes to the first.

    Args:
        num_heads: of all together.
        there: heads that each has.
    """
    places = sorted((head, number) for number, count in enumerate(there) for head in range(count))[:num_heads]
    kept = [number for _, number in places]
    return [kept.count(number) for number in range(len(there))]
