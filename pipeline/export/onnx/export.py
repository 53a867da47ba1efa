"""From a package to a folder that ONNX Runtime runs without torch (`runtime/manifest.py` says what lies in it).

Variants, from the same codes and scales:

    exact      integer products of the very codes of training (u8 x s8), weights unpacked to 8 bits in memory
    fast       the encoder as in `exact`; decoder and output projection keep their low bits in memory (MatMulNBits)
    openvino   MatMulNBits everywhere and nothing to be computed at load, so that OpenVINO reads it, too
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data.languages import set_languages
from pipeline.export.onnx.golden import measured_parity, write_golden
from pipeline.export.onnx.graphs.decoder import build_decoder
from pipeline.export.onnx.graphs.encoder import build_encoder
from pipeline.export.onnx.graphs.graph import OPSET, Graph
from pipeline.export.onnx.graphs.layout import layout_of
from pipeline.export.onnx.graphs.linear import Kernels
from pipeline.export.onnx.graphs.nbits import KERNEL_BITS, NBITS_BLOCKS
from pipeline.export.onnx.graphs.parts import Part
from pipeline.export.onnx.graphs.reading import Reader
from pipeline.export.onnx.graphs.speed import speed_model
from pipeline.export.onnx.graphs.weights_file import Place, WeightsFile
from pipeline.export.onnx.inventory import parts_of
from pipeline.export.onnx.tokenizer import fast_target_tokenizer, fast_tokenizer
from pipeline.export.package import MANIFEST, PackageInfo, load_package
from pipeline.export.package_tokenizer import package_tokenizer
from pipeline.models.families import family_of
from pipeline.models.forward import start_token
from pipeline.models.special_tokens import special_tokens
from pipeline.quantization.packed_layers import packed_weights
from pipeline.quantization.scheme import NOT_QUANTIZED
from pipeline.runtime.manifest import (
    DECODER,
    ENCODER,
    SPEED,
    TARGET_TOKENIZER,
    TOKENIZER,
    WEIGHTS,
    ExportInfo,
    Parity,
    TokenIds,
    write_manifest,
)
from pipeline.storage.atomic import atomic_folder
from pipeline.storage.digests import sha256_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VARIANTS = {
    "exact": (Kernels(low_bits=False), Kernels(low_bits=False)),
    "fast": (Kernels(low_bits=False), Kernels(low_bits=True, faithful=False)),
    "openvino": (Kernels(low_bits=True, explicit=True), Kernels(low_bits=True, explicit=True)),
}
# The first release whose products of two bits are fast on x86: before, they took a hundred times as long.
OLDEST_RUNTIME = "1.28.0"
# More than so many times the floor is no rounding; nor is more than this, by the bits of activations, where no code
# happened to flip between fp32 and fp64.
TIMES_FLOOR, MAX_ERROR = 5.0, {2: 1.0, 4: 0.5, 8: 0.05, 32: 1e-3}


def export_package(packed: Path, folder: Path, variant: str) -> ExportInfo:
    """Write a package as an exported folder, whole or not at all.

    Args:
        packed: the package.
        folder: does not exist, or is empty.
        variant: exact, fast or openvino.

    Returns:
        What the folder says of itself.

    Raises:
        UserError: no package, an unknown variant, a folder that is in use, a model that has no graph.
    """
    if variant not in VARIANTS:
        raise UserError(f"variant={variant}", ", ".join(VARIANTS), "choose one of them")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is in use", "a new or empty folder", "name another, or remove it")
    model, package = load_package(packed)
    with atomic_folder(folder) as partial:
        return _write(model, packed, package, partial, variant)


def _write(model: PreTrainedModel, packed: Path, package: PackageInfo, folder: Path, variant: str) -> ExportInfo:
    languages = TaskConfig(source_language=package.source_language, target_language=package.target_language)
    tokenizer = package_tokenizer(packed, model.config, languages)
    set_languages(tokenizer, languages)
    fast_tokenizer(tokenizer).save(str(folder / TOKENIZER))
    if (writes := fast_target_tokenizer(tokenizer)) is not None:
        writes.save(str(folder / TARGET_TOKENIZER))
    reads_types = "token_type_ids" in tokenizer.model_input_names
    places = _write_graphs(model, folder, variant, reads_types)
    _write_speed(model, folder, variant, package.scheme.activation_bits)
    floor = write_golden(folder, model, packed, reads_types)
    info = _info(model, packed, package, variant, floor, parts_of(model, places, folder, variant))
    info = replace(info, parity=measured_parity(folder, info))
    allowed = max(TIMES_FLOOR * floor, MAX_ERROR[int(package.scheme.activation_bits)])
    if not info.parity.logits_error <= allowed:
        raise UserError(
            f"{packed} as {variant}: logits differ by {info.parity.logits_error:.2e}, rounding alone does {floor:.2e}",
            f"at most {allowed:.2e}",
            "choose another variant, or report it",
        )
    write_manifest(folder, info)
    return info


def _info(
    model: PreTrainedModel,
    packed: Path,
    package: PackageInfo,
    variant: str,
    floor: float,
    parts: dict[str, dict[str, Any]],
) -> ExportInfo:
    family, model_config, special = family_of(model.config), model.config, special_tokens(model.config)
    assert special.pad is not None, "checked before a teacher is trained"
    return ExportInfo(
        variant=variant,
        family=family.name,
        scheme_name=package.scheme.name,
        decoding=package.decoding,
        tokens=TokenIds(
            pad=special.pad,
            eos=special.ends[0] if special.ends else None,
            more_ends=list(special.ends[1:]),
            decoder_start=start_token(model_config),
            forced_first=special.first,
            suppressed=special.suppressed if family.decoder else [],
        ),
        labels=[model_config.id2label[i] for i in sorted(model_config.id2label)] if family.decoder is None else None,
        source_prefix=package.source_prefix,
        max_source_tokens=package.max_source_tokens,
        max_positions=family.num_positions(model_config),
        opset=OPSET,
        onnxruntime=OLDEST_RUNTIME,
        parity=Parity(logits_error=0.0, floor=floor, same_choices=1.0),  # to be measured
        source=sha256_of(packed / MANIFEST),
        parts=parts,
    )


def _write_graphs(model: PreTrainedModel, folder: Path, variant: str, reads_types: bool) -> list[Place]:
    """Write encoder and decoder; what was stored where."""
    weights, reader, layout = WeightsFile(folder / WEIGHTS), Reader(model), layout_of(model.config)
    layout = replace(layout, encoder=replace(layout.encoder, reads_types=reads_types))
    builders = [(ENCODER, build_encoder), (DECODER, build_decoder)][: 1 if layout.decoder is None else 2]
    try:
        for (name, build), kernels in zip(builders, VARIANTS[variant], strict=False):
            graph = Graph(weights)
            build(Part(graph=graph, reader=reader, kernels=kernels), layout)
            if variant == "openvino":
                graph.fold()
            graph.save(folder / name)
    finally:
        weights.close()
    return list(weights.places.values())


def _write_speed(model: PreTrainedModel, folder: Path, variant: str, activation_bits: float) -> None:
    """A product of the model's own width at its lowest bits, where the graphs have such products."""
    weights = list(packed_weights(model).values())
    if variant == "exact" or activation_bits == NOT_QUANTIZED or not weights:
        return
    width = int(weights[0].shape[1])
    block = next((size for size in NBITS_BLOCKS[:3] if width % size == 0), None)
    if block is not None:
        bits = min(KERNEL_BITS[weight.bits] for weight in weights)
        (folder / SPEED).write_bytes(speed_model(width, 4 * width, bits, block).SerializeToString())
