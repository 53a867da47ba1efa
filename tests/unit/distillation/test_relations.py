"""Losses between the tokens of a sequence: each equals a naive reference; padding and batch mates count nothing."""

import math

import pytest
import torch
from torch.nn import functional

from pipeline.distillation.relations import contrastive_sum, relation_kl_sum

B, T, NARROW, WIDE, HEADS = 3, 4, 6, 10, 2
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()
LOSSES = {
    "relation": lambda student, teacher, mask: relation_kl_sum(student, teacher, mask, HEADS),
    "contrastive": lambda student, teacher, mask: contrastive_sum(student, teacher, mask, 0.2),
}
both = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def draw(*widths: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(B, T, width, generator=generator) for width in widths]


def softmax(scores: list[float]) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def dot(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


def tokens(states: torch.Tensor) -> list[list[list[float]]]:
    """The vectors of each row's tokens that count."""
    return [row[mask].double().tolist() for row, mask in zip(states, MASK, strict=True)]


def relation(vectors: list[list[float]], head: int) -> list[list[float]]:
    width = len(vectors[0]) // HEADS
    cut = [vector[head * width : (head + 1) * width] for vector in vectors]
    return [softmax([dot(one, other) / math.sqrt(width) for other in cut]) for one in cut]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_relation_divergence_equals_the_loops(width):
    """KL(teacher || student) over the row's own tokens, mean over heads; the teacher may be wider."""
    student, teacher = draw(NARROW, width)
    expected = 0.0
    for mine, theirs in zip(tokens(student), tokens(teacher), strict=True):
        for head in range(HEADS if mine else 0):
            pairs = zip(relation(theirs, head), relation(mine, head), strict=True)
            expected += sum(p * math.log(p / q) for ps, qs in pairs for p, q in zip(ps, qs, strict=True)) / HEADS
    assert expected > 0
    assert relation_kl_sum(student, teacher, MASK, HEADS).item() == pytest.approx(expected, rel=1e-5)


def test_relation_divergence_knows_relations_only():
    """Zero against itself and against vectors of twice the width that repeat each head's and have the same products."""
    student, teacher = draw(NARROW, NARROW)
    assert relation_kl_sum(student, student, MASK, HEADS).item() == 0.0
    twice = student.unflatten(-1, (HEADS, -1)).repeat(1, 1, 1, 2).flatten(2) / 2**0.25
    assert relation_kl_sum(student, twice, MASK, HEADS).item() == pytest.approx(0.0, abs=1e-6)
    assert relation_kl_sum(student, teacher, MASK, HEADS).item() > 1e-2


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_contrastive_loss_equals_the_loops(temperature):
    """Cross-entropy of the same token among the teacher's tokens of the same row, by cosine."""
    student, teacher = draw(WIDE, WIDE)
    expected = 0.0
    for mine, theirs in zip(tokens(student), tokens(teacher), strict=True):
        for i, one in enumerate(mine):
            cosines = [dot(one, other) / math.sqrt(dot(one, one) * dot(other, other)) for other in theirs]
            expected -= math.log(softmax([cosine / temperature for cosine in cosines])[i])
    assert contrastive_sum(student, teacher, MASK, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_contrastive_loss_asks_for_the_right_token():
    """The teacher itself is near 0 when its tokens differ, chance when they are alike; length does not matter."""
    apart = torch.eye(T).expand(B, T, T)
    num_tokens, chance = int(MASK.sum()), 4 * math.log(4) + 2 * math.log(2)
    assert contrastive_sum(3.0 * apart, apart, MASK, 0.05).item() < 1e-6 * num_tokens
    assert contrastive_sum(apart, torch.ones(B, T, T), MASK, 0.05).item() == pytest.approx(chance, rel=1e-6)
    assert contrastive_sum(apart.roll(1, dims=1), apart, MASK, 0.05).item() > 10 * num_tokens


@both
def test_padding_splitting_and_batch_mates_do_not_matter(loss):
    """A row adds the same alone, beside others and padded with anything."""
    student, teacher = (states.double() for states in draw(WIDE, WIDE))
    whole = loss(student, teacher, MASK)
    rows = [loss(student[i : i + 1], teacher[i : i + 1], MASK[i : i + 1]) for i in range(B)]
    close = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(sum(rows), whole, **close)
    assert rows[2].item() == 0.0
    padded = [functional.pad(states, (0, 0, 0, 3), value=value) for states, value in ((student, 9.0), (teacher, -4.0))]
    torch.testing.assert_close(loss(*padded, functional.pad(MASK, (0, 3))), whole, **close)
    short = loss(student[1:2, :2], teacher[1:2, :2], MASK[1:2, :2])
    torch.testing.assert_close(short, rows[1], **close)


@both
def test_masked_positions_have_no_gradient_whatever_stands_there(loss):
    """NaN included; counted positions have a finite one, also beside vectors of zeros."""
    student, teacher = draw(WIDE, WIDE)
    student[0, 1] = teacher[0, 2] = 0.0
    odd = [states.masked_fill(~MASK[..., None], float("nan")).requires_grad_() for states in (student, teacher)]
    total = loss(*odd, MASK)
    assert torch.equal(total, loss(student, teacher, MASK))
    total.backward()
    for states in odd:
        assert states.grad.isfinite().all()
        assert not states.grad[~MASK].any()
    assert odd[0].grad[1, :2].all()


@both
def test_large_and_bf16_vectors_stay_finite(loss):
    """Dot products are taken in fp32."""
    student, teacher = (states.bfloat16() for states in draw(WIDE, WIDE))
    assert torch.equal(loss(student, teacher, MASK), loss(student.float(), teacher.float(), MASK))
    large = (1e4 * student).requires_grad_()
    total = loss(large, 1e4 * teacher, MASK)
    total.backward()
    assert total.isfinite()
    assert large.grad.isfinite().all()
