"""Each loss equals a naive reference; masked positions count nothing."""

import math

import pytest
import torch

from pipeline.data.batch import IGNORED_LABEL
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


def test_normalised_distance_equals_the_mean_over_normalised_widths(tensors):
    """Mean 0 and variance 1 over the width; scale and offset of a vector do not matter."""
    (student, teacher), _, mask, _ = tensors

    def normal(vector):
        mean = sum(vector.tolist()) / V
        variance = sum((x - mean) ** 2 for x in vector.tolist()) / V
        return [(x - mean) / math.sqrt(variance + 1e-5) for x in vector.tolist()]

    expected = 0.0
    for b, t in counted(mask):
        pairs = zip(normal(student[b, t].double()), normal(teacher[b, t].double()), strict=True)
        expected += sum((mine - theirs) ** 2 for mine, theirs in pairs) / V
    assert losses.normalised_square_sum(student, teacher, mask).item() == pytest.approx(expected, rel=1e-5)
    assert losses.normalised_square_sum(3.0 * student + 2.0, student, mask).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.normalised_square_sum(student, student, mask).item() == 0.0


def masked_keys(attention: torch.Tensor) -> torch.Tensor:
    """The same probabilities with a last key that nobody may see."""
    kept = attention.clone()
    kept[..., -1] = 0.0
    return kept / kept.sum(-1, keepdim=True)


@pytest.mark.parametrize("change", [lambda attention: attention, masked_keys], ids=["all keys", "a masked key"])
def test_attention_divergence_equals_the_sum_over_keys_and_the_mean_over_heads(tensors, change):
    """KL(teacher || student) without the keys whose probability is 0; zero against itself."""
    _, attention, mask, _ = tensors
    student, teacher = (change(one) for one in attention)
    expected = 0.0
    for b, t in counted(mask):
        pairs = torch.stack([teacher[b, :, t], student[b, :, t]], dim=-1).double().flatten(0, 1).tolist()
        expected += sum(p * math.log(p / q) for p, q in pairs if p) / H
    assert losses.attention_kl_sum(student, teacher, mask).item() == pytest.approx(expected, rel=1e-5)
    assert losses.attention_kl_sum(student, student, mask).item() == 0.0


def test_attention_divergence_at_exact_zeros_is_finite(tensors):
    """A key masked in both adds 0 to loss and gradient; a student's 0 costs the logarithm of the least probability."""
    _, (student, teacher), mask, _ = tensors
    scores = student.log().requires_grad_()
    hidden = scores.masked_fill(torch.arange(K) == K - 1, -torch.inf).softmax(-1)
    losses.attention_kl_sum(hidden, masked_keys(teacher), mask).backward()
    assert scores.grad.isfinite().all()
    assert not scores.grad[..., -1].any()
    assert scores.grad[0, ..., :-1].all()
    one = torch.tensor([[[[1.0, 0.0]]]]).requires_grad_()
    other = torch.tensor([[[[0.5, 0.5]]]])
    total = losses.attention_kl_sum(one, other, torch.tensor([[True]]))
    total.backward()
    assert total.item() == pytest.approx(math.log(0.5) - 0.5 * math.log(losses.LEAST_PROBABILITY), rel=1e-6)
    assert one.grad.isfinite().all()


@pytest.mark.parametrize("loss", [losses.attention_kl_sum, losses.normalised_square_sum])
def test_bf16_is_compared_in_fp32(tensors, loss):
    """Casting before or by the loss is the same."""
    logits, attention, mask, _ = tensors
    student, teacher = (x.bfloat16() for x in (attention if loss is losses.attention_kl_sum else logits))
    assert torch.equal(loss(student, teacher, mask), loss(student.float(), teacher.float(), mask))


def test_masked_positions_do_not_matter(tensors):
    """Whatever stands there, NaN included: the same losses, bit for bit, and no gradient."""
    (student, teacher), (mine, theirs), mask, labels = tensors
    hidden = ~mask[:, :, None]
    odd, odd_attention = student.masked_fill(hidden, float("nan")), mine.masked_fill(hidden[:, None], 9.0)
    assert torch.equal(losses.logits_kl_sum(odd, teacher, mask, 1.0), losses.logits_kl_sum(student, teacher, mask, 1.0))
    assert torch.equal(losses.mean_square_sum(odd, teacher, mask), losses.mean_square_sum(student, teacher, mask))
    same = losses.normalised_square_sum(student, teacher, mask)
    assert torch.equal(losses.normalised_square_sum(odd, teacher, mask), same)
    for distance in (losses.attention_square_sum, losses.attention_kl_sum):
        assert torch.equal(distance(odd_attention, theirs, mask), distance(mine, theirs, mask))
    odd = student.masked_fill(hidden, 30.0).requires_grad_()
    assert torch.equal(losses.cross_entropy_sum(odd, labels), losses.cross_entropy_sum(student, labels))
    total = losses.cross_entropy_sum(odd, labels) + losses.logits_kl_sum(odd, teacher, mask, 1.0)
    total = total + losses.normalised_square_sum(odd, teacher, mask)
    (total + losses.mean_square_sum(odd, teacher, mask)).backward()
    assert not odd.grad[~mask].any()
    assert odd.grad[mask].all()
