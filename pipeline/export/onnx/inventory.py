"""What an exported folder consists of, byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.export.onnx.graphs.nbits import KERNEL_BITS
from pipeline.export.onnx.graphs.weights_file import Place
from pipeline.quantization.packed_layers import packed_weights
from pipeline.quantization.quantizers import TERNARY_BITS
from pipeline.runtime.manifest import DECODER, ENCODER, WEIGHTS

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def parts_of(model: PreTrainedModel, places: list[Place], folder: Path, variant: str) -> dict[str, dict[str, Any]]:
    """Bytes of everything stored; of codes, also their bits and how kernels read them."""
    bits = {name: weight.bits for name, weight in packed_weights(model).items()}
    parts: dict[str, dict[str, Any]] = {}
    for place in places:
        module, _, kind = place.name.rpartition(".")
        entry: dict[str, Any] = {"bytes": place.length, "stored_as": place.dtype}
        if kind == "codes" and module in bits:
            entry = {"bytes": place.length, "bits": bits[module], "stored_as": _stored_as(bits[module], variant)}
        name, number = place.name, 1
        while name in parts:
            number += 1
            name = f"{place.name} ({number})"
        parts[name] = entry
    used = sum(entry["bytes"] for entry in parts.values())
    parts["alignment"] = {"bytes": (folder / WEIGHTS).stat().st_size - used, "stored_as": "nothing"}
    graphs = [path for path in (folder / ENCODER, folder / DECODER) if path.exists()]
    return parts | {path.name: {"bytes": path.stat().st_size, "stored_as": "graph"} for path in graphs}


def _stored_as(bits: float, variant: str) -> str:
    kernel = KERNEL_BITS[bits]
    if variant == "openvino":
        return f"{kernel} bits" if kernel == bits else f"{kernel} bits, the nearest that OpenVINO reads"
    dense = "5 codes a byte" if bits == TERNARY_BITS else f"{bits:g} bits"
    read_as = {8} if variant == "exact" else {kernel, 8}
    return dense if read_as == {bits} else f"{dense}, read as {' or '.join(map(str, sorted(read_as)))}"
