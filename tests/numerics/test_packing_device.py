"""Grids of a package are those that training saw: made on its device, whose sums and exponentials no other repeats."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.quantization import packed_layers
from pipeline.quantization.fake_quantize import WeightFakeQuantize
from pipeline.quantization.learned import LearnedStep
from pipeline.quantization.quantizers import Asymmetric, Symmetric, Ternary
from pipeline.stages.sweep.student import build, pack

ELSEWHERE = torch.device("meta")  # a device whose tensors cannot be brought back to the CPU


@pytest.mark.parametrize("quantizer", [Symmetric(bits=8), Asymmetric(bits=4), Ternary(), LearnedStep(bits=4)], ids=str)
def test_a_grid_is_made_where_the_weight_lies(monkeypatch, quantizer):
    """And nowhere else; codes, scales and zero points follow afterwards."""
    weight, real, asked = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), packed_layers.quantize, []
    learned = WeightFakeQuantize(quantizer, weight)
    grid = real(weight, quantizer, None if learned.parameter is None else learned.parameter.detach())

    def recording(x, _, parameter):
        asked.append({tensor.device for tensor in (x, parameter) if tensor is not None})
        return grid

    monkeypatch.setattr(packed_layers, "quantize", recording)
    packed = packed_layers.pack_weight(weight.to(ELSEWHERE), learned.to(ELSEWHERE))
    assert asked == [{ELSEWHERE}]
    assert {tensor.device for tensor in packed.buffers()} == {ELSEWHERE}


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_a_student_is_packed_on_the_device_that_it_was_trained_on(make_student, monkeypatch, tmp_path):
    """The state comes from the engines through the CPU; the grids do not."""
    student, info = make_student("8-8-8")
    state, seen = student.state_dict(), []
    monkeypatch.setattr(build, "build_student", lambda *_: student)
    monkeypatch.setattr(build, "prepare_student", lambda *_: None)
    monkeypatch.setattr(pack, "convert", lambda model, *_: seen.append({p.device for p in model.parameters()}))
    monkeypatch.setattr(pack, "write_package", lambda *_: seen.append("written"))
    engine = SimpleNamespace(whole_state=lambda: state, close=lambda: None)
    plan = SimpleNamespace(encoder_map=[0, 2], decoder_map=[2], scheme=info.scheme, dropout=0.0, untrained=None)
    plan.start_folder, plan.packed_folder = tmp_path, tmp_path / "packed"
    task = SimpleNamespace(
        decoding=info.decoding, source_prefix="", source_language=None, target_language=None, max_source_tokens=64
    )
    learner, teacher = SimpleNamespace(active=True, engine=engine), SimpleNamespace(device=ELSEWHERE)
    pack.pack_student(plan, learner, teacher, None, task)
    assert seen == [{ELSEWHERE}, "written"]
