"""Each loss equals a naive reference; masked positions count nothing."""

import math

import pytest
import torch

from pipeline.data.batches import IGNORED_LABEL
from pipeline.distillation import losses

B, T, V, H, K = 3, 4, 7, 2, 5
EXACT = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def tensors():
    """Student and teacher logits, probabilities and a ragged mask whose last row is a filler."""
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(B, T, V, generator=generator) for _ in range(2)]
    attention = [torch.randn(B, H, T, K, generator=generator).softmax(-1) for _ in range(2)]
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()
    labels = torch.randint(0, V, (B, T), generator=generator).masked_fill(~mask, IGNORED_LABEL)
    return logits, attention, mask, labels


def counted(mask: torch.Tensor) -> list[tuple[int, int]]:
    return [tuple(index) for index in mask.nonzero().tolist()]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_the_sum_over_tokens(tensors, smoothing):
    """Label smoothing spreads its part evenly over the vocabulary."""
    (logits, _), _, mask, labels = tensors
    expected = 0.0
    for b, t in counted(mask):
        log = logits[b, t].double().log_softmax(-1)
        expected -= (1 - smoothing) * log[labels[b, t]] + smoothing * log.mean()
    torch.testing.assert_close(losses.cross_entropy_sum(logits, labels, smoothing).double(), expected, **EXACT)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_logits_divergence_equals_the_sum_over_the_vocabulary(tensors, temperature):
    """KL(teacher || student), times temperature squared."""
    (student, teacher), _, mask, _ = tensors
    expected = 0.0
    for b, t in counted(mask):
        p, q = ((x[b, t].double() / temperature).softmax(-1) for x in (teacher, student))
        expected += temperature**2 * sum(float(p[v]) * math.log(p[v] / q[v]) for v in range(V))
    assert losses.logits_kl_sum(student, teacher, mask, temperature).item() == pytest.approx(expected, abs=1e-5)
    assert losses.logits_kl_sum(student, student, mask, temperature).item() == pytest.approx(0.0, abs=1e-6)


def test_mean_square_equals_the_mean_over_the_width(tensors):
    """Summed over tokens that count."""
    (student, teacher), _, mask, _ = tensors
    difference = (student - teacher).double()
    expected = sum(float((difference[b, t] ** 2).sum()) / V for b, t in counted(mask))
    assert losses.mean_square_sum(student, teacher, mask).item() == pytest.approx(expected, abs=1e-5)


def test_attention_distance_equals_the_sum_over_keys_and_the_mean_over_heads(tensors):
    """Summed over queries that count."""
    _, (student, teacher), mask, _ = tensors
    difference = (student - teacher).double()
    expected = sum(float((difference[b, h, q] ** 2).sum()) / H for b, q in counted(mask) for h in range(H))
    assert losses.attention_square_sum(student, teacher, mask).item() == pytest.approx(expected, abs=1e-6)


def test_masked_positions_do_not_matter(tensors):
    """Whatever stands there, NaN included: the same losses, bit for bit, and no gradient."""
    (student, teacher), (mine, theirs), mask, labels = tensors
    hidden = ~mask[:, :, None]
    odd, odd_attention = student.masked_fill(hidden, float("nan")), mine.masked_fill(hidden[:, None], 9.0)
    assert torch.equal(losses.logits_kl_sum(odd, teacher, mask, 1.0), losses.logits_kl_sum(student, teacher, mask, 1.0))
    assert torch.equal(losses.mean_square_sum(odd, teacher, mask), losses.mean_square_sum(student, teacher, mask))
    same = losses.attention_square_sum(mine, theirs, mask)
    assert torch.equal(losses.attention_square_sum(odd_attention, theirs, mask), same)
    odd = student.masked_fill(hidden, 30.0).requires_grad_()
    assert torch.equal(losses.cross_entropy_sum(odd, labels), losses.cross_entropy_sum(student, labels))
    total = losses.cross_entropy_sum(odd, labels) + losses.logits_kl_sum(odd, teacher, mask, 1.0)
    (total + losses.mean_square_sum(odd, teacher, mask)).backward()
    assert not odd.grad[~mask].any()
    assert odd.grad[mask].all()
