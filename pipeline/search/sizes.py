"""Parameters and operations of architectures in closed form: p(ξ) and i(ξ).

Published (arXiv 2010.08512): both are polynomials of the architectural parameters; i counts additions, multiplications
and other operations of every layer. Decided here: what belongs to the ends A and C of f(x) = C(B_n(...B_1(A(x)))) and
what to the blocks; how many other operations a normalisation or an activation has.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.search.space import EncoderArchitecture

# Per element, one operation for every step of the formula.
GELU = 5  # x * 0.5 * (1 + erf(x / sqrt 2))
SOFTMAX = 6  # scale, maximum, subtract, exp, sum, divide
NORM = 8  # sum, subtract, square, sum, root and division together, multiply, scale, shift
RMS_NORM = 5  # square, sum, root and division together, multiply, scale


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A count, taken apart.

    Args:
        ends: of the input layer A and the output layer C.
        blocks: of all blocks B.
    """

    ends: int
    blocks: int

    @property
    def total(self) -> int:
        """Of the whole network."""
        return self.ends + self.blocks

    def __add__(self, other: Parts) -> Parts:
        """Ends to ends, blocks to blocks."""
        return Parts(ends=self.ends + other.ends, blocks=self.blocks + other.blocks)


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Operations of one forward pass.

    Args:
        products: multiplications and additions of matrix products, two for each weight and position.
        others: biases, residuals, normalisations, activations, softmax, sums of embeddings.
    """

    products: Parts
    others: Parts

    @property
    def total(self) -> Parts:
        """All of them, at the ends and in the blocks."""
        return self.products + self.others


@dataclass(frozen=True, kw_only=True)
class EncoderEnds:
    """What an encoder has beside its blocks, the same for every candidate.

    Args:
        vocabulary: rows of the token table.
        positions: rows of the table of positions.
        token_types: rows of the table of token types; 0: there is none (Bort).
        pooler: whether a dense layer follows the first position.
    """

    vocabulary: int
    positions: int = 512
    token_types: int = 2
    pooler: bool = True


def linear(inputs: int, outputs: int) -> int:
    """Parameters of a dense layer with bias."""
    return inputs * outputs + outputs


def encoder_parameters(architecture: EncoderArchitecture, ends: EncoderEnds) -> Parts:
    """Trainable parameters p of an encoder, without a head."""
    hidden, norm = architecture.hidden, 2 * architecture.hidden
    block = attention_parameters(hidden, hidden) + norm + feed_forward_parameters(hidden, architecture.intermediate)
    tables = (ends.vocabulary + ends.positions + ends.token_types) * hidden
    return Parts(
        ends=tables + norm + (linear(hidden, hidden) if ends.pooler else 0),
        blocks=architecture.layers * (block + norm),
    )


def encoder_operations(architecture: EncoderArchitecture, ends: EncoderEnds, num_tokens: int) -> Operations:
    """Operations i of an encoder for one sequence.

    Args:
        architecture: the candidate.
        ends: what it has beside its blocks.
        num_tokens: the sequence's length.
    """
    hidden, layers = architecture.hidden, architecture.layers
    products = attention_products(hidden, hidden, num_tokens, num_tokens)
    products += 4 * num_tokens * hidden * architecture.intermediate
    others = attention_others(hidden, hidden, architecture.heads, num_tokens, num_tokens)
    others += feed_forward_others(hidden, architecture.intermediate, num_tokens)
    num_added_tables = 2 if ends.token_types else 1
    pooled = 2 * hidden if ends.pooler else 0  # bias, tanh
    return Operations(
        products=Parts(ends=2 * hidden * hidden if ends.pooler else 0, blocks=layers * products),
        others=Parts(ends=num_tokens * hidden * (num_added_tables + NORM) + pooled, blocks=layers * others),
    )


def attention_parameters(hidden: int, inner: int) -> int:
    """Parameters of an attention: queries, keys, values and output.

    Args:
        hidden: the model's width.
        inner: heads times head width.
    """
    return 3 * linear(hidden, inner) + linear(inner, hidden)


def feed_forward_parameters(hidden: int, intermediate: int) -> int:
    """Parameters of the two matrices of a feed-forward layer."""
    return linear(hidden, intermediate) + linear(intermediate, hidden)


def attention_products(hidden: int, inner: int, num_queries: int, num_keys: int) -> int:
    """Multiplications and additions of an attention's matrix products."""
    projections = 2 * hidden * inner * 2 * (num_queries + num_keys)
    return projections + 4 * num_queries * num_keys * inner  # scores, weighted values


def attention_others(hidden: int, inner: int, heads: int, num_queries: int, num_keys: int) -> int:
    """Other operations of an attention, its residual and its normalisation."""
    biases = inner * (num_queries + 2 * num_keys) + hidden * num_queries
    return biases + SOFTMAX * heads * num_queries * num_keys + (1 + NORM) * hidden * num_queries


def feed_forward_others(hidden: int, intermediate: int, num_tokens: int) -> int:
    """Other operations of a feed-forward layer, its residual and its normalisation."""
    return num_tokens * (intermediate * (1 + GELU) + hidden * (1 + 1 + NORM))
