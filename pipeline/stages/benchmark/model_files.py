"""The files of benchmarked models: each once, with random weights, in the form of every contender."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pipeline.benchmarking.contenders import Contender
from pipeline.config.errors import UserError
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.data.numbered_tokens import numbered_tokenizer
from pipeline.export.onnx.export import export_package
from pipeline.export.package import file_bytes
from pipeline.models.student import build_student
from pipeline.runtime.manifest import model_bytes
from pipeline.stages.random_students import random_model, write_random_package
from pipeline.stages.sweep.plan.students import LayerMaps, layer_maps
from pipeline.storage.atomic import atomic_folder, move

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)


class ModelFiles:
    """Makes what is missing.

    Args:
        model: the teacher's shape.
        model_config: its configuration.
        quantization: the recipe's.
        seed: of its weights.
        folder: where the files lie.
    """

    def __init__(
        self,
        model: ModelConfig,
        model_config: PretrainedConfig,
        quantization: QuantizationConfig,
        seed: int,
        folder: Path,
    ) -> None:
        self.model, self.model_config, self.quantization = model, model_config, quantization
        self.seed, self.folder = seed, folder

    def paths(self, contenders: Sequence[Contender]) -> tuple[dict[str, Path], dict[str, str]]:
        """Name of every contender -> the folder of its file; and of those that can have none why."""
        paths: dict[str, Path] = {}
        refused: dict[str, str] = {}
        for contender in contenders:
            try:
                paths[contender.name] = self.path(contender)
            except UserError as error:  # the others can be measured
                refused[contender.name] = str(error)
        return paths, refused

    def path(self, contender: Contender) -> Path:
        """The folder of a contender's file, made now if need be.

        Raises:
            UserError: the scheme or the shape cannot be exported.
        """
        path = self.folder / contender.folder
        if not path.is_dir():
            log.info(f"making {path.relative_to(self.folder.parent)}")
            with atomic_folder(path) as partial:
                self._make(contender, partial)
        return path

    @cached_property
    def teacher(self) -> Any:
        """The teacher in fp32."""
        return random_model(self.model, self.seed)

    def maps(self, depth: str) -> LayerMaps:
        """Which layers of the teacher a student of a depth has.

        Raises:
            UserError: an impossible depth.
        """
        [maps] = layer_maps([StudentConfig(depth=depth)], self.model_config)
        return maps

    def _make(self, contender: Contender, folder: Path) -> None:
        if contender.engine == "torch":
            self._save(contender.depth, torch.bfloat16 if contender.form == "bf16" else torch.float32, folder)
            return
        made = folder / "made"
        if contender.engine == "ctranslate2":
            from pipeline.benchmarking.engines.ctranslate2_engine import convert  # an extra

            self._save(contender.depth, torch.float32, folder / "source")
            convert(folder / "source", made, "int8" if contender.form == "int8" else None)
            shutil.rmtree(folder / "source")
        else:
            export_package(self._package(contender), made, contender.form)
        for file in made.iterdir():
            move(file, folder / file.name)
        made.rmdir()

    def _package(self, contender: Contender) -> Path:
        """What all variants of a student are exported from."""
        path = self.folder / contender.depth / f"package-{contender.scheme}"
        if not path.is_dir():
            positions = self.model.architecture.max_positions
            with atomic_folder(path) as partial:
                write_random_package(
                    partial,
                    self.teacher,
                    self.maps(contender.depth),
                    contender.scheme,
                    self.quantization,
                    positions,
                )
        return path

    def _save(self, depth: str, precision: torch.dtype, folder: Path) -> None:
        student = build_student(self.teacher, *self.maps(depth), dropout=0.0).to(precision)
        student.config.normalize_before = False  # CTranslate2 asks older configurations of BART
        student.save_pretrained(folder)
        numbered_tokenizer(self.model.vocab_size).save_pretrained(folder)


def bytes_on_disk(contender: Contender, path: Path) -> int:
    """Bytes of weights, and of graphs where there are any."""
    if contender.engine == "torch":
        return file_bytes(path)
    if contender.engine == "ctranslate2":
        return (path / "model.bin").stat().st_size
    return model_bytes(path)
