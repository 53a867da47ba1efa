"""The self-test of an exported model: stored answers within the measured error, low bits no slower than fp32."""

import io
import logging
from dataclasses import replace

import numpy as np
import onnx
import pytest
from handmade import INFO, say, with_digests

from pipeline.config.errors import UserError
from pipeline.export.onnx.graphs.speed import speed_model
from pipeline.runtime import check
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import GOLDEN
from pipeline.runtime.session import Graph, value_of


def changed_golden(folder, factor):
    golden = check.read_golden(folder)
    golden["logits"] = golden["logits"] * factor
    np.savez(folder / GOLDEN, **golden)
    with_digests(folder)
    return folder


@pytest.mark.parametrize("labels", [None, ["no", "yes", "perhaps"]])
def test_a_model_that_computes_something_else_is_refused(make_exported, labels):
    """At load, by the stored logits; within three times what was measured, or unchecked, it is taken."""
    folder = changed_golden(make_exported(labels=labels), np.float32(1.0009))
    OnnxAnswerer(folder)
    changed_golden(folder, np.float32(1.001))
    with pytest.raises(UserError, match=r"logits differ from the trained model's by 1.9.e-03.*computes something else"):
        OnnxAnswerer(folder)
    OnnxAnswerer(folder, check=False)
    say(folder, parity=vars(replace(INFO.parity, floor=7e-4)))
    OnnxAnswerer(folder)
    changed_golden(folder, np.float32("nan"))
    with pytest.raises(UserError, match="differ from the trained model's by nan"):
        OnnxAnswerer(folder)


def test_golden_inputs_that_cannot_be_read_are_refused_by_name(make_exported):
    """They are no pickles, either, and no array alone."""
    folder, alone = make_exported(), io.BytesIO()
    np.save(alone, np.zeros(3))
    for content in (b"", b"\x80\x04N.", b"PK\x03\x04 cut short", alone.getvalue()):
        (folder / GOLDEN).write_bytes(content)
        with_digests(folder)
        with pytest.raises(UserError, match=GOLDEN):
            OnnxAnswerer(folder)


@pytest.mark.parametrize(("bits", "block"), [(2, 64), (2, 128), (4, 128), (8, 128)])
def test_the_timed_product_takes_both_ways_in_a_small_file(tmp_path, bits, block):
    """Packed codes and fp32 weights give what their arithmetic gives; the file holds no weights."""
    onnx.save(speed_model(256, 96, bits, block), tmp_path / "speed.onnx")
    assert (tmp_path / "speed.onnx").stat().st_size < 2048
    graph, x = Graph(tmp_path / "speed.onnx", num_threads=1), np.full((1, 256), 0.5, np.float32)
    outputs = [graph({"x": value_of(x), "packed": value_of(np.array(way))})["y"].numpy() for way in (True, False)]
    code = {2: 1, 4: 5, 8: 0b01010101}[bits] - 2 ** (bits - 1)
    np.testing.assert_allclose(outputs[0], 0.5 * 256 * 0.01 * code, rtol=1e-2)
    np.testing.assert_allclose(outputs[1], 0.5 * 256 * -0.01, rtol=1e-5)
    assert all(seconds > 0 for seconds in check.product_times(graph, rounds=3))


def test_bits_without_a_fast_kernel_are_not_timed():
    """The exporter must not use them."""
    for k, bits, block in ((256, 2, 256), (256, 3, 64), (100, 2, 64)):
        with pytest.raises(ValueError, match="no fast kernel"):
            speed_model(k, 8, bits, block)


@pytest.mark.parametrize(("times", "warned"), [((5e-3, 1e-4), True), ((1e-4, 5e-3), False), ((1.1e-4, 1e-4), False)])
def test_low_bits_that_are_slower_than_fp32_are_warned_of(make_exported, monkeypatch, caplog, times, warned):
    """With both times and the likely reason; the model is used nevertheless."""
    folder = make_exported()
    onnx.save(speed_model(256, 96, 2, 128), folder / "speed.onnx")
    with_digests(folder)
    monkeypatch.setattr(check, "product_times", lambda graph: times)
    with caplog.at_level(logging.WARNING):
        OnnxAnswerer(folder)
    assert [("5000 us" in r.getMessage(), "no fast kernel" in r.getMessage()) for r in caplog.records] == [
        (True, True)
    ] * warned
