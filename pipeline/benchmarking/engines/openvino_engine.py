"""Exported models in OpenVINO, which reads the same files. The door to openvino."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from pipeline.benchmarking.engines.engine import Array, Engine, GreedyEngine, empty_history
from pipeline.runtime.manifest import DECODER, ENCODER, read_manifest


class OpenVinoGraphs:
    """Encoder and decoding step in fp32: by default OpenVINO computes in bf16 where it can, and says nothing."""

    def __init__(self, folder: Path, threads: int) -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        encoder, decoder = (core.compile_model(str(folder / name), "CPU", settings) for name in (ENCODER, DECODER))
        self.encoder = encoder.create_infer_request()
        # A request's next step overwrites what its last one gave, so that two take turns.
        self.decoders = [decoder.create_infer_request(), decoder.create_infer_request()]
        self.read = {port.any_name for port in encoder.inputs}
        self.asked = {port.any_name for port in decoder.inputs}
        self.histories = {
            port.any_name: ([None if n.is_dynamic else n.get_length() for n in port.partial_shape], port.element_type)
            for port in decoder.inputs
            if port.any_name.startswith("self_")
        }
        self.state: dict[str, Any] = {}

    def encode(self, source: Array, mask: Array) -> None:
        """See `Graphs.encode`."""
        given = {"input_ids": source, "attention_mask": mask, "token_type_ids": np.zeros_like(source)}
        found = self.encoder.infer({n: v for n, v in given.items() if n in self.read}, share_inputs=True)
        self.state = {port.any_name: array for port, array in found.items()} | {"attention_mask": mask}
        for name, (shape, kind) in self.histories.items():
            self.state[name] = np.zeros(empty_history(shape, len(source)), kind.to_dtype())

    def step(self, tokens: Array) -> Array:
        """See `Graphs.step`."""
        self.decoders.reverse()
        given = {"input_ids": tokens, **self.state}
        asked = {name: value for name, value in given.items() if name in self.asked}
        found = self.decoders[0].infer(asked, share_inputs=True, share_outputs=True)
        arrays = {port.any_name: array for port, array in found.items()}
        self.state.update({name: arrays[f"next_{name}"] for name in self.histories})
        logits: Array = arrays["logits"]
        return logits


def load(path: Path, threads: int) -> Engine:
    """An exported folder that runs on so many threads."""
    start = read_manifest(path).tokens.decoder_start
    assert start is not None
    return GreedyEngine(OpenVinoGraphs(path, threads), start)
