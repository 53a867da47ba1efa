"""The results of an architecture search: what there is to say of every candidate, of the answer and how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.search.guarantee import Guarantee


@dataclass(frozen=True, kw_only=True)
class SearchPoint:
    """One candidate.

    Args:
        name: what is written of it, such as "2-2-8 6-3 heads=0.5" or "4 layers, 8 heads, 1024, 768".
        costs: of "parameters", "operations" and "size_bytes" whatever is known.
        latency_ms: median time; none where it is not known.
        latency_interval_ms: its quartiles where it was measured, the model's interval where it is predicted.
        is_measured: whether the time was measured; else the latency model predicted it.
        errors: optimiser step -> error there, the mean over seeds; only steps that were reached; infinite where
            training diverged.
        error_spread: standard deviation over seeds at the last step.
        w: its W-coefficient at the last step.
        state: what became of it.
        in_cover: whether it is in the eps-cover.
    """

    name: str
    costs: dict[str, float]
    latency_ms: float | None
    latency_interval_ms: tuple[float, float] | None
    is_measured: bool
    errors: dict[int, float]
    error_spread: float | None
    w: float | None
    state: Literal["tried", "given up", "diverged", "not tried"]
    in_cover: bool

    @property
    def error(self) -> float | None:
        """At its last step; none unless it was tried to the end."""
        return self.errors[max(self.errors)] if self.state == "tried" and self.errors else None


@dataclass(frozen=True, kw_only=True)
class SearchResults:
    """The results of a search.

    Args:
        title: of page and pictures.
        points: all candidates, in the order of the search: cheapest first.
        best: the name of the answer.
        chosen: the names of those that a sweep would train.
        optimum: the name of the brute-force optimum where it is known.
        maximum: the costs of T, under the names of `costs` and "latency_ms".
        named: further architectures and their costs, such as Bort.
        size_cost: which of the costs is the size in W.
        inference_cost: which of the costs is the inference in W; may be "latency_ms".
        error_name: such as "validation loss after 30 steps".
        limits: what the answer may cost at most, such as {"max_mib": 1.0, "max_ms": 20.0}; empty: anything.
        rule: one sentence: how the answer was chosen.
        guarantee: how good the answer is.
        distance: the answer beside the brute-force optimum: "relative", "places" and so on; none where it is not known.
        latency_model: "num_measured", and relative "median_error" and "max_error"; none where no time is predicted.
        facts: what was run, as name -> text.
        environment: with what, as name -> text.
        config: the resolved configuration as YAML.
    """

    title: str
    points: Sequence[SearchPoint]
    best: str
    chosen: Sequence[str]
    optimum: str | None
    maximum: dict[str, float]
    named: dict[str, dict[str, float]]
    size_cost: str
    inference_cost: str
    error_name: str
    limits: dict[str, float]
    rule: str
    guarantee: Guarantee
    distance: dict[str, float] | None
    latency_model: dict[str, float] | None
    facts: dict[str, str]
    environment: dict[str, str]
    config: str
