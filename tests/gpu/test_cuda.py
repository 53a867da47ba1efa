"""On a GPU: the laws that could break there. Skipped without one."""

import copy

import pytest
import torch

from pipeline.config.recipe import QuantisationConfig
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.training.random_stream import RandomStream

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("scheme", ["8-8-8", "4-4-8", "2-2-8"])
def test_packed_equals_fake_quantised_on_the_gpu(tiny_teacher, tiny_batch, scheme):
    """The same codes, scales and arithmetic give the same logits, bit for bit."""
    device = torch.device("cuda")
    student = build_student(tiny_teacher, [0, 1], [1], 0.0).eval()
    plan, batch = scheme_of(scheme, QuantisationConfig()), tiny_batch.to(device)
    prepare_student(student, plan)
    packed = copy.deepcopy(student)
    convert(packed, sites_of(packed), plan)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    one, other = (
        model.to(device)(**inputs, decoder_input_ids=batch.decoder_input_ids).logits for model in (student, packed)
    )
    assert torch.equal(one, other)


def test_a_stream_is_unaffected_by_draws_outside():
    """Draws on the device continue the stream, whatever happens between."""
    device = torch.device("cuda")
    first, second = RandomStream(3, device), RandomStream(3, device)
    with first:
        expected = torch.rand(4, device=device), torch.rand(4, device=device)
    with second:
        one = torch.rand(4, device=device)
    torch.rand(100, device=device)
    with second:
        two = torch.rand(4, device=device)
    assert torch.equal(torch.cat(expected), torch.cat((one, two)))
