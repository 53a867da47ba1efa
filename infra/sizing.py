"""What one worker needs in memory: known models by ZeRO stage, as a table, from the estimate that plans use.

    python infra/sizing.py
    python infra/sizing.py --workers 16 --source-tokens 512 --micro-batch-tokens 8192

`teacher` is fine-tuning, `student` training one 2-2-8 student with half the decoder layers beside its teacher. What
activations take grows with --micro-batch-tokens and the lengths; the rest does not. On GPUs it is the device's memory,
on CPUs the pod's. Nothing is downloaded: shapes stand here.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from transformers import BartConfig, MBartConfig, PretrainedConfig, T5Config

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.console.tables import markdown_table
from pipeline.stages.memory import MicroBatch, cohort_bytes, num_parameters, pass_bytes, teacher_bytes, work_of

GIB = 2**30
BART = {"vocab_size": 50265, "max_position_embeddings": 1024}
MODELS: dict[str, PretrainedConfig] = {
    "bart-base": BartConfig(
        **BART, d_model=768, encoder_layers=6, decoder_layers=6, encoder_ffn_dim=3072, decoder_ffn_dim=3072,
        encoder_attention_heads=12, decoder_attention_heads=12,
    ),
    "bart-large": BartConfig(**BART, d_model=1024),  # transformers' own defaults
    "mbart-large": MBartConfig(vocab_size=250027),
    "t5-3b": T5Config(
        vocab_size=32128, d_model=1024, d_kv=128, d_ff=16384, num_layers=24, num_decoder_layers=24, num_heads=32
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is trained on, and by how many.

    Args:
        num_workers: of a group.
        num_source, num_target: tokens of an example.
        micro_batch_tokens: most padded tokens of a forward pass.
    """

    num_workers: int
    num_source: int
    num_target: int
    micro_batch_tokens: int

    @property
    def batch(self) -> MicroBatch:
        """One micro-batch, full."""
        num_rows = max(1, self.micro_batch_tokens // (self.num_source + self.num_target))
        return MicroBatch(num_rows=num_rows, num_source=self.num_source, num_target=self.num_target)


def needed_bytes(model: PretrainedConfig, load: Load, zero_stage: int) -> tuple[float, float]:
    """What a worker needs that fine-tunes a teacher, and one that trains a student of it."""
    cluster = ClusterConfig(num_workers=load.num_workers, zero_stage=zero_stage)
    layers = (model.num_hidden_layers, max(1, decoder_layers(model) // 2))
    large, small = num_parameters(model), num_parameters(model, layers)
    work, students = work_of(model), work_of(model, layers)
    teacher = teacher_bytes(large, pass_bytes(work, [load.batch]), cluster)
    student = cohort_bytes([small], [True], large, pass_bytes(students, [load.batch], work), cluster)
    return teacher, student


def decoder_layers(model: PretrainedConfig) -> int:
    """How many it has; families call them differently."""
    return int(getattr(model, "decoder_layers", None) or model.num_decoder_layers)


def table(load: Load) -> str:
    """A row a model, a pair of columns a stage."""
    stages = (1, 2, 3)
    head = ["model", "parameters", *(f"ZeRO {stage}: teacher, student" for stage in stages)]
    rows = [head]
    for name, model in MODELS.items():
        needed = [needed_bytes(model, load, stage) for stage in stages]
        cells = [f"{teacher / GIB:.0f}, {student / GIB:.0f} GiB" for teacher, student in needed]
        rows.append([name, f"{num_parameters(model) / 1e6:,.0f} M", *cells])
    return markdown_table(rows)


def main(words: list[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="sizing.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--source-tokens", type=int, default=1024)
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--micro-batch-tokens", type=int, default=4096)
    given = parser.parse_args(words)
    load = Load(
        num_workers=given.workers,
        num_source=given.source_tokens,
        num_target=given.target_tokens,
        micro_batch_tokens=given.micro_batch_tokens,
    )
    print(table(load))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
