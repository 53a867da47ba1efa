"""An exported model made by hand: small graphs whose next token anyone can compute. It says nothing of quantization."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.config.sections.task import DecodingConfig
from pipeline.runtime.manifest import (
    DECODER,
    ENCODER,
    GOLDEN,
    MANIFEST,
    TOKENIZER,
    WEIGHTS,
    ExportInfo,
    Parity,
    TokenIds,
    write_manifest,
)
from pipeline.runtime.manifest_file import DIGEST, bound, folder_digests

PAD, EOS = 1, 2
INFO = ExportInfo(
    variant="exact",
    family="bart",
    scheme_name="8-8-8",
    decoding=DecodingConfig(num_beams=1, max_length=12),
    tokens=TokenIds(pad=PAD, eos=EOS, decoder_start=EOS, suppressed=[]),
    labels=None,
    source_prefix="say: ",
    max_source_tokens=24,
    max_positions=40,
    opset=21,
    onnxruntime="1.28.0",
    parity=Parity(logits_error=1e-4, floor=1e-4, same_choices=1.0),
    source="0" * 64,
    parts={},
)


def write_exported(folder: Path, tokenizer: Any, *, likes_to_end: float = 1.0, **changes: Any) -> ExportInfo:
    """Write an exported model; `changes` are fields of its manifest, with `labels` it is a classifier."""
    folder.mkdir(parents=True)
    info = replace(INFO, **changes)
    backend = tokenizer.backend_tokenizer
    backend.save(str(folder / TOKENIZER))
    if info.labels is None:
        _save(_encoder(), folder / ENCODER)
        _save(_decoder(logits_bias(len(tokenizer), likes_to_end)), folder / DECODER, WEIGHTS)
        np.savez(folder / GOLDEN, **golden(Said(len(tokenizer), likes_to_end)))
    else:
        _save(_classifier(len(info.labels)), folder / ENCODER, WEIGHTS)
        sources, kinds = [[5, 6, 7], [8, 9, 0]], [[0, 0, 1], [0, 1, 0]]
        logits = classified([[5, 6, 7], [8, 9]], [[0, 0, 1], [0, 1]], len(info.labels))
        np.savez(
            folder / GOLDEN,
            input_ids=np.array(sources),
            attention_mask=np.array([[1, 1, 1], [1, 1, 0]]),
            token_type_ids=np.array(kinds),
            columns=np.arange(len(info.labels)),
            logits=logits,
            choices=logits.argmax(-1),
        )
    write_manifest(folder, info)
    return info


def with_digests(folder: Path) -> None:
    """Let the manifest agree with files that a test has changed."""
    say(folder, sha256=folder_digests(folder))


def say(folder: Path, **changes: Any) -> None:
    """Let the manifest of a package or of an exported folder say something else, and agree with itself."""
    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps(bound(manifest) if DIGEST in manifest else manifest))


class Said:
    """The same decoder in numpy, for `search`; the state is (means of the sources, everything said)."""

    def __init__(self, vocab_size: int, likes_to_end: float = 1.0) -> None:
        self.bias = logits_bias(vocab_size, likes_to_end)

    def read(self, sources):
        means = np.array([[np.float32(sum(ids)) / np.float32(len(ids))] for ids in sources], np.float32)
        return means, np.zeros((len(sources), 0), np.int64)

    def step(self, state, tokens):
        means, said = state
        said = np.concatenate([said, tokens[:, None]], axis=1)
        columns = np.arange(self.bias.shape[1], dtype=np.float32)[None]
        one = np.float32(1.3) * tokens[:, None].astype(np.float32) + np.float32(0.7) * means
        other = np.float32(0.31) * said.sum(1, keepdims=True).astype(np.float32)
        logits = 4 * np.sin(np.float32(0.37) * columns + one) + 3 * np.sin(np.float32(1.013) * columns + other)
        return (logits + self.bias).astype(np.float32), (means, said)

    def repeat(self, state, num_beams):
        return tuple(np.repeat(part, num_beams, axis=0) for part in state)

    def reorder(self, state, rows):
        return state[0], state[1][rows]


def classified(sources, kinds, num_labels):
    """The logits of the classifier: they depend on the mean id and on the number of tokens of a second text."""
    means = np.array([[sum(ids) / len(ids)] for ids in sources], np.float32)
    second = np.array([[sum(row)] for row in kinds], np.float32)
    return np.sin(means + second * 0.5 + 1.7 * np.arange(num_labels, dtype=np.float32)[None])


def logits_bias(vocab_size: int, likes_to_end: float) -> Any:
    """What is added to the logits: the tests' tokenizer never hears padding, and may end sooner or later."""
    bias = np.zeros((1, vocab_size), np.float32)
    bias[0, :2], bias[0, EOS] = -9.0, likes_to_end
    return bias


def golden(model: Said) -> dict[str, Any]:
    """Stored inputs and their logits."""
    sources, decoder_ids = [[0, 7, 30, 2], [0, 9, 2]], np.array([[2, 40, 41], [2, 50, 60]])
    state, logits = model.read(sources), []
    for column in decoder_ids.T:
        step, state = model.step(state, column)
        logits.append(step)
    stacked, columns = np.stack(logits, axis=1), np.arange(3, 90, 3)
    return {
        "input_ids": np.array([[0, 7, 30, 2], [0, 9, 2, PAD]]),
        "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "decoder_ids": decoder_ids,
        "columns": columns,
        "logits": stacked[:, :, columns],
        "choices": stacked.argmax(-1),
    }


def _mean() -> list[Any]:
    """Nodes: `mean` (batch, 1) of the ids that the mask keeps."""
    return [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["total"], keepdims=1),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["mean"]),
    ]


def _encoder() -> Any:
    nodes = [*_mean(), helper.make_node("Identity", ["mean"], ["cross_mean"])]
    return _model(nodes, _of_source(), [_value("cross_mean", "batch", 1)], {"axis": np.array([1])})


def _decoder(bias: Any) -> Any:
    constants = {
        "axis": np.array([1]),
        "columns": np.arange(bias.shape[1], dtype=np.float32)[None],
        "bias": bias,
        **{f"f{i}": np.float32(v) for i, v in enumerate((1.3, 0.7, 0.31, 0.37, 1.013, 4.0, 3.0))},
    }
    made = "last:Cast(input_ids) a:Mul(last,f0) b:Mul(cross_mean,f1) one:Add(a,b) "
    made += "next_self_said:Concat(self_said,input_ids) sum:ReduceSum(next_self_said,axis) sum_f:Cast(sum) "
    made += "other:Mul(sum_f,f2) c:Mul(columns,f3) d:Add(c,one) e:Sin(d) "
    made += "g:Mul(e,f5) h:Mul(columns,f4) i:Add(h,other) j:Sin(i) k:Mul(j,f6) l:Add(g,k) logits:Add(l,bias)"
    inputs = [
        _value("input_ids", "batch", 1, kind=TensorProto.INT64),
        _value("attention_mask", "batch", "source", kind=TensorProto.INT64),
        _value("cross_mean", "batch", 1),
        _value("self_said", "batch", "past", kind=TensorProto.INT64),
    ]
    outputs = [_value("logits", "batch", bias.shape[1])]
    outputs.append(_value("next_self_said", "batch", "longer", kind=TensorProto.INT64))
    return _model(_nodes(made), inputs, outputs, constants)


def _classifier(num_labels: int) -> Any:
    made = "types:Cast(token_type_ids) sum:ReduceSum(types,axis) half:Mul(sum,f0) phase:Add(mean,half) "
    made += "all:Add(phase,labels) logits:Sin(all)"
    labels = 1.7 * np.arange(num_labels, dtype=np.float32)[None]
    constants = {"axis": np.array([1]), "f0": np.float32(0.5), "labels": labels.astype(np.float32)}
    inputs = [*_of_source(), _value("token_type_ids", "batch", "source", kind=TensorProto.INT64)]
    return _model([*_mean(), *_nodes(made)], inputs, [_value("logits", "batch", num_labels)], constants)


def _nodes(text: str) -> list[Any]:
    """`output:Operator(inputs)` as nodes, with the attributes that these graphs need."""
    nodes = []
    for word in text.split():
        output, _, call = word.partition(":")
        kind, _, inputs = call.rstrip(")").partition("(")
        attributes = {"Cast": {"to": TensorProto.FLOAT}, "Concat": {"axis": 1}, "ReduceSum": {"keepdims": 1}}
        nodes.append(helper.make_node(kind, inputs.split(","), [output], **attributes.get(kind, {})))
    return nodes


def _of_source() -> list[Any]:
    return [_value(name, "batch", "source", kind=TensorProto.INT64) for name in ("input_ids", "attention_mask")]


def _value(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> Any:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "handmade", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _save(model: Any, path: Path, weights: str | None = None) -> None:
    if weights is None:
        onnx.save(model, path)
    else:
        onnx.save(
            model, path, save_as_external_data=True, location=weights, size_threshold=44
        )  # not the axis: it decides shapes
