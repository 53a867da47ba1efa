"""How far generated texts are from their parents: in words, as a model sees them, and whether the labeller is sure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from pipeline.augmentation.examples import Origin, TextExample, Texts
from pipeline.augmentation.words import parts_of

# Vectors of texts, (texts, dimensions).
Embed = Callable[[Sequence[Texts]], NDArray[np.floating]]
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Distances:
    """How far an example is from its parent.

    Args:
        example: the generated one.
        edit: words to insert, delete or replace for the words of the longer text, 0 to 1.
        embedding: 1 - cosine of both vectors, 0 to 2; none: nobody was asked.
        confidence: the labeller's probability of the label that it gave; none: nobody was asked.
    """

    example: TextExample
    edit: float
    embedding: float | None = None
    confidence: float | None = None

    @property
    def measures(self) -> dict[str, float]:
        """What is known, by name."""
        named = {"edit": self.edit, "embedding": self.embedding, "confidence": self.confidence}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def row(self) -> dict[str, str | int | float | None]:
        """A row of the report: where the example comes from, what it is, how far that is."""
        origin = origin_of(self.example)
        return {
            "generator": origin.generator,
            "round": origin.round_number,
            "parent_id": origin.parent_id,
            "mixed_with": origin.mixed_with,
            "parent_source": origin.parent_source,
            "parent_second": origin.parent_second,
            "parent_target": origin.parent_target,
            "id": self.example.id,
            "source": self.example.source,
            "second": self.example.second,
            "target": self.example.target,
            "edit": self.edit,
            "embedding": self.embedding,
            "confidence": self.confidence,
        }


def edit_distance(one: Texts, other: Texts) -> float:
    """Words to insert, delete or replace, for the number of words of the longer text; of pairs both texts together.

    Args:
        one: a text or a pair.
        other: the same kind.

    Returns:
        0: the same words; 1: no word is where it was. Two texts without words are the same.
    """
    pairs = [
        ([word.text for word in words], [word.text for word in others])
        for words, others in zip(parts_of(one), parts_of(other), strict=True)
    ]
    num_words = sum(max(map(len, pair)) for pair in pairs)
    return sum(Levenshtein.distance(*pair) for pair in pairs) / max(1, num_words)


def embedding_distances(embed: Embed, examples: Sequence[TextExample]) -> list[float]:
    """1 - cosine of the vectors of examples and of their parents; of a vector of zeros 1.

    Args:
        embed: gives the vectors; asked once, for every text once.
        examples: generated ones.
    """
    texts = [each for one in examples for each in (one.texts, origin_of(one).parent_texts)]
    unique = list(dict.fromkeys(texts))
    if not unique:
        return []
    vectors = np.asarray(embed(unique), dtype=np.float64)
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    row = {each: number for number, each in enumerate(unique)}
    own, parents = (directions[[row[each] for each in texts[start::2]]] for start in (0, 1))
    return [float(distance) for distance in (1 - (own * parents).sum(axis=1)).clip(0, 2)]


def distances(
    examples: Sequence[TextExample],
    *,
    embed: Embed | None = None,
    confidences: Sequence[float] | None = None,
) -> list[Distances]:
    """How far each generated example is from its parent.

    Args:
        examples: generated ones.
        embed: gives vectors of texts, if anybody does.
        confidences: of the labeller, one each.
    """
    unknown: list[float | None] = [None] * len(examples)
    seen = unknown if embed is None else embedding_distances(embed, examples)
    return [
        Distances(
            example=example,
            edit=edit_distance(origin_of(example).parent_texts, example.texts),
            embedding=embedding,
            confidence=confidence,
        )
        for example, embedding, confidence in zip(
            examples, seen, unknown if confidences is None else confidences, strict=True
        )
    ]


def quantiles(rows: Sequence[Distances]) -> dict[str, dict[str, list[float]]]:
    """Quantiles of every measure that is known, generator by generator: what bounds would refuse.

    Returns:
        generator -> measure -> its values at `QUANTILES`, nan left out.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for name, value in row.measures.items():
            if not np.isnan(value):
                values[origin_of(row.example).generator][name].append(value)
    return {
        generator: {name: np.quantile(found, QUANTILES).tolist() for name, found in measures.items()}
        for generator, measures in sorted(values.items())
    }


def origin_of(example: TextExample) -> Origin:
    """Where a generated example comes from.

    Raises:
        ValueError: it was not generated.
    """
    if example.origin is None:
        raise ValueError(f"no generated example: {example.source[:80]!r}")
    return example.origin
