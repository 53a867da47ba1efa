"""How a training is spread over processes: by which engine, over how many ranks, on which kind of device."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.sections.cluster import ClusterConfig


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What may change between two submissions: a checkpoint is read under any."""

    engine: str
    num_ranks: int
    device: str

    def __str__(self) -> str:
        return f"{self.engine} on {self.num_ranks} {self.device} rank{'s' if self.num_ranks > 1 else ''}"

    def draws_like(self, other: Layout) -> bool:
        """Whether what is drawn at random, such as dropout, goes on as it would have under the other."""
        return (self.num_ranks, self.device) == (other.num_ranks, other.device)


def engine_name(zero_stage: int | None) -> str:
    """What an engine is called: torch, or DeepSpeed's by its ZeRO stage."""
    return "torch" if zero_stage is None else f"zero{zero_stage}"


def layout_of(cluster: ClusterConfig) -> Layout:
    """The layout that a cluster is configured for."""
    return Layout(
        engine=engine_name(cluster.zero_stage if cluster.engine == "deepspeed" else None),
        num_ranks=cluster.num_workers,
        device="cuda" if cluster.gpus_per_worker else "cpu",
    )
