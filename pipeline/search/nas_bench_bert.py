"""Rows of nas_bench_bert: 500 small encoders with GLUE scores (CC BY 4.0, aaronserianni/training-free-nas, 2d76e01).

From "Training-free Neural Architecture Search for RNNs and Transformers" (ACL 2023). There is no curve of their
pre-training, so that the one cheap fidelity is GLUE itself: the mean error of the first 1, 2, 4, 8 tasks in
alphabetical order. A step is one fine-tuned task; what pre-training costs, which is far more, is in no budget.

`parameters` are theirs. The notebook that counts them and computes the training-free scores builds every encoder 256
wide with 1024 between, whatever its row says. `parameters_as_described` and `operations` are ours, at the widths of the
row; at 256 and 1024 the closed form gives their number to the last unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.errors import UserError
from pipeline.search.sizes import linear
from pipeline.search.table import TableRow

GLUE_TASKS = "fine-tuned GLUE tasks"
GROUP = "glue"
TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst", "sts")
NUM_TASKS = (1, 2, 4, 8)
VOCABULARY, POSITIONS, TOKEN_TYPES, EMBEDDING = 30522, 512, 2, 128
NUM_TOKENS = 128  # of their pre-training
COUNTED_HIDDEN, COUNTED_INTERMEDIATE = 256, 1024  # the widths at which they counted


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an encoder.

    Args:
        operation: SA (self-attention), LT (linear transform) or DSC (dynamic convolution beside attention).
        kind: SDP or WMA; DFT or DCT; the width of the convolution.
        heads: of the operation.
        intermediate: width of the feed-forward stack.
        num_feed_forward: matrices that lead into and through that width, without the one back.
    """

    operation: str
    kind: str | int
    heads: int
    intermediate: int
    num_feed_forward: int


@dataclass(frozen=True, kw_only=True)
class Count:
    """Of a layer or an encoder.

    Args:
        weights: entries of matrices, each used once per token.
        others: biases, norms.
        operations: of what has no matrix, for a sequence.
    """

    weights: int
    others: int
    operations: float = 0.0

    def __add__(self, other: Count) -> Count:
        return Count(
            weights=self.weights + other.weights,
            others=self.others + other.others,
            operations=self.operations + other.operations,
        )


def is_encoder_row(record: Mapping[str, Any]) -> bool:
    """Whether a line looks like one of that file."""
    return {"scores", "layers", "hidden_size"} <= set(record)


def encoder_row(place: str, record: Mapping[str, Any]) -> TableRow:
    """A line of architectures.jsonl.

    Args:
        place: file and line, for messages.
        record: the line.

    Raises:
        UserError: a field that is missing, numbers that cannot be.
    """
    try:
        layers, hidden = [Layer(**layer) for layer in record["layers"]], record["hidden_size"]
        scores = [record["scores"][task] for task in TASKS]
        return TableRow(
            name=str(record["id"]),
            seed=0,
            costs={
                "parameters": record["num_parameters"],
                "parameters_as_described": num_parameters(layers, hidden),
                "operations": num_operations(layers, hidden),
                "layers": len(layers),
                "seconds_to_train": record["seconds_to_train"],
            },
            scores=record["zero_cost"],
            errors={GROUP: {num: 100 - sum(scores[:num]) / num for num in NUM_TASKS}},
            final=GROUP,
        )
    except KeyError as error:
        raise _wrong(place, f"no field {error}") from None
    except (TypeError, ValueError) as error:
        raise _wrong(place, str(error)) from None
    except UserError as error:
        raise UserError(f"{place}: {error.given}", error.allowed, error.change) from None


def num_parameters(layers: Sequence[Layer], hidden: int, intermediate: int | None = None) -> int:
    """Parameters of an encoder with its embeddings, without a head.

    Args:
        layers: from the bottom.
        hidden: their width.
        intermediate: width of all feed-forward stacks; none: what each layer says.
    """
    count = _encoder(layers, hidden, intermediate)
    tables = (VOCABULARY + POSITIONS + TOKEN_TYPES) * EMBEDDING + 2 * EMBEDDING
    return tables + count.weights + count.others


def num_operations(layers: Sequence[Layer], hidden: int) -> float:
    """Multiplications and additions for a sequence of 128 tokens: products with matrices, attention, transforms."""
    count = _encoder(layers, hidden, None)
    return 2 * NUM_TOKENS * count.weights + count.operations


def _encoder(layers: Sequence[Layer], hidden: int, intermediate: int | None) -> Count:
    total = _linear(EMBEDDING, hidden) if hidden != EMBEDDING else Count(weights=0, others=0)
    for layer in layers:
        total += _mixing(layer, hidden) + _feed_forward(layer, hidden, intermediate or layer.intermediate)
    return total


def _feed_forward(layer: Layer, hidden: int, width: int) -> Count:
    total = _linear(hidden, width) + _linear(width, hidden) + Count(weights=0, others=2 * hidden)
    for _ in range(layer.num_feed_forward - 1):
        total += _linear(width, width)
    return total


def _mixing(layer: Layer, hidden: int) -> Count:
    """What mixes tokens, with the projection and norm that follow it but after a linear transform."""
    output = _linear(hidden, hidden) + Count(weights=0, others=2 * hidden)
    if layer.operation == "LT":
        transform = 5 * NUM_TOKENS * hidden * math.log2(NUM_TOKENS * hidden / layer.heads)
        return _linear(hidden, hidden) + Count(weights=0, others=0, operations=transform)
    if layer.operation == "SA":
        weighted = hidden * hidden if layer.kind == "WMA" else 0
        attended = Count(weights=weighted, others=0, operations=4 * NUM_TOKENS**2 * hidden)
        return _linear(hidden, 3 * hidden) + attended + output
    if layer.operation == "DSC" and isinstance(layer.kind, int):
        half, num_heads, width = hidden // 2, layer.heads // 2, layer.kind
        separable = Count(weights=hidden * width + hidden * half, others=half)
        kernels = _linear(half, num_heads * width)
        mixed = Count(weights=0, others=0, operations=4 * NUM_TOKENS**2 * half + 2 * NUM_TOKENS * width * half)
        return _linear(hidden, 4 * half) + separable + kernels + mixed + output
    raise ValueError(f"a layer {layer.operation} of kind {layer.kind!r}")


def _linear(inputs: int, outputs: int) -> Count:
    return Count(weights=inputs * outputs, others=linear(inputs, outputs) - inputs * outputs)


def _wrong(place: str, given: str) -> UserError:
    return UserError(f"{place}: {given}", "a row of nas_bench_bert/architectures.jsonl", "name another table")
