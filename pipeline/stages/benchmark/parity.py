"""Benchmark `parity`: what exported students say beside what the same packages say in torch in fp32.

Random students of every recipe, scheme and seed decode the same sources, ragged and padded, one token after another:
first the tokens that they are given, then their own likeliest ones. The first line of every kind is the floor: the
same package in torch in fp64. A value near a rounding boundary falls to the other side under the least difference, and
the next layers amplify it, so that no two implementations agree more closely than that.

    error            |logits - those in fp32| / |those in fp32|: median of the seeds, and the largest
    x floor          that median by the floor's
    same choices     part of the given steps with the same likeliest token, of all seeds
    same tokens      part of the generated tokens that are the same; after one that differs few are
"""

from __future__ import annotations

import functools
import logging
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.benchmarking.engines.engine import Graphs, installed
from pipeline.benchmarking.engines.ort_engine import OrtGraphs
from pipeline.benchmarking.engines.packed_steps import PackedSteps
from pipeline.benchmarking.engines.parity import answers, difference, ragged
from pipeline.config.changes import changed
from pipeline.config.errors import UserError
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.sections.export import VARIANTS
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.console.progress import ProgressBar
from pipeline.console.tables import text_table
from pipeline.export.onnx.export import export_package
from pipeline.models.forward import start_token
from pipeline.models.load import load_teacher, read_model_config
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.stages.random_students import write_random_package
from pipeline.stages.random_tokens import PAD, Vocabulary, check_generates, random_rows
from pipeline.stages.sweep.plan.students import LayerMaps, layer_maps

FLOOR, BY_OPENVINO = "torch fp64", "openvino, by OpenVINO"
Found = dict[str, dict[str, float]]  # runtime -> error, same_choices, same_tokens

log = logging.getLogger(__name__)


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Compare every runtime with torch in fp32, and print a table.

    Raises:
        UserError: an impossible depth, sequences too long for the model, a scheme that cannot be exported.
    """
    settings, vocabulary = config.benchmark.parity, Vocabulary(size=config.model.vocab_size)
    model_config = read_model_config(config.model, vocabulary)
    length = max(settings.source_tokens, settings.num_steps + 1)
    check_generates(model_config, length, "set benchmark.parity.source_tokens and num_steps")
    [maps] = layer_maps([StudentConfig(depth=settings.depth)], model_config)
    recipes = {
        name: changed(config.recipe, changes, f"recipe {name}").quantization
        for name, changes in config.sweep.variants.items()
    } or {config.recipe.name: config.recipe.quantization}
    kinds = [(recipe, scheme) for recipe in recipes for scheme in settings.schemes]
    bar = ProgressBar("models", len(kinds) * settings.num_seeds)
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {} if installed("openvino") else {BY_OPENVINO: "openvino is not installed"}
    for recipe, scheme in kinds:
        found = []
        for seed in range(config.seed, config.seed + settings.num_seeds):
            one, refused = _compared(config, maps, scheme, recipes[recipe], seed)
            left_out |= {f"{recipe} {scheme} {name} (seed {seed})": reason for name, reason in refused.items()}
            found.append(one)
            bar.update(bar.done + 1, f"{recipe} {scheme}")
        rows += _rows(recipe, scheme, found)
    bar.close()
    if not rows:
        raise UserError("no scheme that can be measured", "; ".join(left_out.values()), "set benchmark.parity.schemes")
    notes = [f"{name}: left out, {reason}" for name, reason in left_out.items()]
    log.info("\n" + "\n".join([text_table(_lines(rows)), *notes]))
    return {"rows": rows, "left_out": left_out}


def _compared(
    config: BenchmarkJob, maps: LayerMaps, scheme: str, quantization: QuantizationConfig, seed: int
) -> tuple[Found, dict[str, str]]:
    """How far every runtime is from torch in fp32, of one student; and why others are left out."""
    settings, draw = config.benchmark.parity, random.Random(seed)
    vocabulary = Vocabulary(size=config.model.vocab_size)
    teacher = random_teacher(config, seed)
    source, mask = ragged(random_rows(settings.num_rows, settings.source_tokens, vocabulary, draw), PAD)
    given = np.array(random_rows(settings.num_rows, settings.num_steps, vocabulary, draw))
    given[:, 0] = start_token(teacher.config)
    found: Found = {}
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        packed = Path(temporary) / "packed"
        try:
            write_random_package(packed, teacher, maps, scheme, quantization, teacher.config.max_position_embeddings)
        except UserError as error:  # a scheme that the recipe cannot have
            return {}, {"package": str(error)}
        reference = answers(PackedSteps(packed), source, mask, given)
        for name, made in _runtimes(packed, Path(temporary)).items():
            try:
                found[name] = difference(answers(made(), source, mask, given), reference)
            except UserError as error:  # a variant that has no form for it
                left_out[name] = str(error)
    return found, left_out


def random_teacher(config: BenchmarkJob, seed: int) -> Any:
    """A teacher whose biases are not zero, and whose norms turn signs: else it would repeat its last token for ever."""
    teacher = load_teacher(config.model, Vocabulary(size=config.model.vocab_size), TaskConfig(), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in teacher.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
            if "norm" in name and name.endswith("weight"):
                parameter.mul_(2.0 * torch.randint(2, parameter.shape, generator=generator) - 1.0)
    return teacher


def _runtimes(packed: Path, folder: Path) -> dict[str, Callable[[], Graphs]]:
    """What makes them, one at a time; the floor first."""

    def exported(variant: str) -> Path:
        if not (target := folder / variant).is_dir():
            export_package(packed, target, variant)
        return target

    made: dict[str, Callable[[], Graphs]] = {FLOOR: lambda: PackedSteps(packed, torch.float64)}
    for variant in VARIANTS:
        made[variant] = functools.partial(
            lambda name: OrtGraphs(OnnxAnswerer(exported(name), num_threads=1, check=False)), variant
        )
    if installed("openvino"):
        from pipeline.benchmarking.engines.openvino_engine import OpenVinoGraphs  # an extra

        made[BY_OPENVINO] = lambda: OpenVinoGraphs(exported("openvino"), threads=1)
    return made


def _rows(recipe: str, scheme: str, found: list[Found]) -> list[dict[str, Any]]:
    """One row per runtime, over the seeds that it could be measured with."""
    rows = []
    for name in dict.fromkeys(name for of_seed in found for name in of_seed):
        pairs = [(of_seed[name], of_seed[FLOOR]) for of_seed in found if name in of_seed]
        errors = [mine["error"] for mine, _ in pairs]
        shares = {key: float(np.mean([mine[key] for mine, _ in pairs])) for key in ("same_choices", "same_tokens")}
        floor = float(np.median([floor["error"] for _, floor in pairs]))
        numbers = {"error": float(np.median(errors)), "largest_error": max(errors), "floor": floor, **shares}
        rows.append({"recipe": recipe, "scheme": scheme, "runtime": name, "num_seeds": len(pairs), **numbers})
    return rows


def _lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["runtime", "recipe", "scheme", "error", "largest", "x floor", "same choices", "same tokens"]]
    for row in rows:
        errors = [f"{row['error']:.2e}", f"{row['largest_error']:.2e}"]
        times = f"{row['error'] / row['floor']:.2f}x" if row["floor"] else "-"
        shares = [f"{100 * row[key]:.1f} %" for key in ("same_choices", "same_tokens")]
        lines.append([row["runtime"], row["recipe"], row["scheme"], *errors, times, *shares])
    return lines
