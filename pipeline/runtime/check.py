"""What a loaded model must pass: the stored answers within the measured error; low bits no slower than fp32."""

from __future__ import annotations

import logging
import math
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pipeline.config.errors import UserError
from pipeline.runtime.manifest import GOLDEN, SPEED, Parity
from pipeline.runtime.model import Model
from pipeline.runtime.processors import Scores
from pipeline.runtime.session import Array, Graph, value_of

WITHIN = 3.0  # times the error that was measured at the export: other machines round elsewhere
LEAST = 1e-3
ROUNDS = 15
MAX_GOLDEN_BYTES, MAX_WIDTH = 256 << 20, 1 << 20
SLOWER = 1.25  # less than that may be chance

log = logging.getLogger(__name__)


def check_parity(model: Model, folder: Path, parity: Parity) -> float:
    """Compare the logits of the stored inputs with those of the trained model.

    Returns:
        The relative error, in the 2-norm.

    Raises:
        UserError: it is larger than rounding explains.
    """
    error = _golden_error(model, folder)
    allowed = max(WITHIN * parity.floor, WITHIN * parity.logits_error, LEAST)
    if not error <= allowed:  # nan, too
        raise UserError(
            f"{folder}: logits differ from the trained model's by {error:.2e}: this machine with onnxruntime "
            f"{onnxruntime.__version__} computes something else than the model",
            f"at most {allowed:.2e} (at the export it was {parity.logits_error:.2e})",
            "install the onnxruntime release that the model was exported with, or export variant=exact",
        )
    return error


def read_golden(folder: Path) -> dict[str, Array]:
    """The arrays of `golden.npz`.

    Raises:
        UserError: it cannot be read.
    """
    try:
        _check_sizes(folder / GOLDEN)
        with np.load(folder / GOLDEN, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # damage to an archive, to a header and to an array have errors of their own
        raise UserError(f"{folder / GOLDEN}: {error}", "readable arrays", "export the model again") from error


def _check_sizes(path: Path) -> None:
    """Refuse arrays that say they are larger than what is stored of them: memory is taken by what they say."""
    with zipfile.ZipFile(path) as file:
        entries = file.infolist()
        if (total := sum(entry.file_size for entry in entries)) > MAX_GOLDEN_BYTES:
            raise ValueError(f"{total:,} bytes")
        for entry in entries:
            with file.open(entry) as stream:
                of_version = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = of_version[np.lib.format.read_magic(stream)](stream)
                if math.prod(shape) * dtype.itemsize != entry.file_size - stream.tell():
                    raise ValueError(f"{entry.filename} of shape {shape} in {entry.file_size:,} bytes")


def _golden_error(model: Model, folder: Path) -> float:
    golden = read_golden(folder)
    try:
        ours, theirs = golden_logits(model, golden)[..., golden["columns"]], golden["logits"]
        if ours.shape == theirs.shape and theirs.size:
            return relative_error(ours, theirs)
        what = f"logits of shape {theirs.shape} where the graphs give {ours.shape}"
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:  # arrays of other shapes and types
        what = f"{type(error).__name__}: {error}"
    raise UserError(f"{folder / GOLDEN} does not fit the graphs: {what}", "their own inputs", "export the model again")


def golden_logits(model: Model, golden: dict[str, Array]) -> Scores:
    """The model's logits for the stored inputs, of the whole vocabulary."""
    lengths = golden["attention_mask"].sum(axis=1)
    rows = [row[:length].tolist() for row, length in zip(golden["input_ids"], lengths, strict=True)]
    if model.decoder is None:
        types = golden.get("token_type_ids")
        kinds = None if types is None else [row[:n].tolist() for row, n in zip(types, lengths, strict=True)]
        return model.classify(rows, kinds)
    return model.forced_logits(rows, golden["decoder_ids"])


def relative_error(ours: Scores, theirs: Scores) -> float:
    """|ours - theirs| / |theirs|, over all entries."""
    difference = ours.astype(np.float64) - theirs.astype(np.float64)
    return float(np.linalg.norm(difference) / max(float(np.linalg.norm(theirs.astype(np.float64))), 1e-30))


def check_speed(folder: Path, num_threads: int | None) -> float | None:
    """Compare the time of a stored product with that of the same in fp32, and warn where it is slower.

    Returns:
        fp32 time over stored time; nothing where the folder has no such product.
    """
    if not (folder / SPEED).is_file():
        return None
    stored, plain = product_times(Graph(folder / SPEED, num_threads=num_threads))
    if stored > SLOWER * plain:
        log.warning(
            "a product with the weights of this model takes %.0f us, one with fp32 weights %.0f us: onnxruntime %s has "
            "no fast kernel for its bits on this CPU (one without AVX2, AVX-512 or NEON dot products); variant=exact "
            "may be faster",
            stored * 1e6,
            plain * 1e6,
            onnxruntime.__version__,
        )
    return plain / stored


def product_times(graph: Graph, rounds: int = ROUNDS) -> tuple[float, float]:
    """Least seconds of the stored and of the fp32 product, taken in turns; other load on the machine only adds."""
    graph.expect({"x", "packed"}, set())
    width = (list(graph.inputs["x"].shape) or [None])[-1]
    if not isinstance(width, int) or not 0 < width <= MAX_WIDTH:
        raise UserError(f"{graph.path}: a product of width {width}", f"at most {MAX_WIDTH}", "export the model again")
    x = value_of(np.random.default_rng(0).standard_normal((1, width)).astype(np.float32))
    feeds: list[dict[str, Any]] = [{"x": x, "packed": value_of(np.array(packed))} for packed in (True, False)]
    times: list[list[float]] = [[], []]
    for index in range(rounds + 2):
        for feed, taken in zip(feeds, times, strict=True):
            start = time.perf_counter()
            graph(feed)
            if index >= 2:  # the first ones warm up
                taken.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])
