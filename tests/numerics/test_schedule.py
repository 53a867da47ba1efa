"""Bits that fall during training: each phase is the scheme that it names."""

import pytest
import torch

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig, QuantizersConfig
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.fake_quantize import calibration
from pipeline.quantization.schedule import BitSchedule, phases_of
from pipeline.quantization.scheme import scheme_of

SCHEDULE = ["0.3=32-32-32", "0.6=8-8-8"]
SEQ = QuantizersConfig(two_bit="seq")


def scheduled(teacher, schedule, scheme="2-2-8", num_steps=10, **quantization):
    """A prepared student and its schedule."""
    settings = QuantizationConfig(**quantization)
    student = build_student(teacher, [0, 2], [2], 0.0).eval()
    final = scheme_of(scheme, settings)
    prepare_student(student, final)
    return student, BitSchedule(student, sites_of(student), phases_of(schedule, settings, final), final, num_steps)


def logits_of(model, batch):
    """Teacher-forced logits."""
    with torch.no_grad():
        return model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, decoder_input_ids=batch.decoder_input_ids
        ).logits


def test_each_phase_computes_what_a_student_of_its_scheme_computes(tiny_teacher, tiny_batch):
    """Exactly, step by step, whatever step comes first: a resumed run is in the phase where it stopped."""
    student, schedule = scheduled(tiny_teacher, SCHEDULE, weights=SEQ, embeddings=SEQ)
    for step in (0, 2, 3, 5, 6, 9, 4, 0, 9):
        schedule(step)
        scheme = "32-32-32" if step < 3 else "8-8-8" if step < 6 else "2-2-8"
        alone, _ = scheduled(tiny_teacher, [], scheme, weights=SEQ, embeddings=SEQ)
        if scheme == "32-32-32":  # attention scales queries instead of scores there: equal to rounding
            torch.testing.assert_close(logits_of(student, tiny_batch), logits_of(alone, tiny_batch), atol=1e-5, rtol=0)
        else:
            assert torch.equal(logits_of(student, tiny_batch), logits_of(alone, tiny_batch))


def test_every_phase_can_be_validated(tiny_teacher, tiny_batch):
    """In inference mode, as early stopping does it, a student says what it says without gradients."""
    student, schedule = scheduled(tiny_teacher, SCHEDULE, weights=SEQ, embeddings=SEQ)
    for step in (0, 3, 9):
        schedule(step)
        expected = logits_of(student, tiny_batch)
        with torch.inference_mode():
            assert torch.equal(logits_of(student, tiny_batch), expected)


def test_in_full_precision_every_gradient_passes(tiny_teacher, tiny_batch):
    """No clip, no rounding: gradients are those of the plain student; a learned scale that waits gets zeros."""
    student, schedule = scheduled(tiny_teacher, SCHEDULE, weights=SEQ)
    schedule(0)
    plain = build_student(tiny_teacher, [0, 2], [2], 0.0).eval()
    for model in (student, plain):
        batch = {"input_ids": tiny_batch.input_ids, "decoder_input_ids": tiny_batch.decoder_input_ids}
        model(**batch).logits.square().mean().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in student.named_parameters():
        if name in theirs:
            torch.testing.assert_close(parameter.grad, theirs[name].grad, atol=1e-6, rtol=1e-4)
        else:
            assert torch.equal(parameter.grad, torch.zeros_like(parameter)), name


def test_no_schedule_switches_nothing(tiny_teacher, tiny_batch):
    """The student is always at its own scheme."""
    student, schedule = scheduled(tiny_teacher, [])
    before = logits_of(student, tiny_batch)
    schedule(0)
    assert torch.equal(logits_of(student, tiny_batch), before)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (["32-32-32"], "entry '32-32-32'"),
        (["0=8-8-8"], "entry '0=8-8-8'"),
        (["1.5=8-8-8"], "entry '1.5=8-8-8'"),
        (["nan=8-8-8"], "entry 'nan=8-8-8'"),
        (["0.3=8-8"], "entry '0.3=8-8'"),
        (["0.5=8-8-8", "0.5=4-4-8"], "rising ends"),
        (["0.5=8-8-8", "7=4-4-8"], "all parts below 1 or all steps"),
        (["10=8-8-8"], "ends at step 10 of 10"),
        (["0.99=8-8-8"], "ends at step 10 of 10"),
    ],
)
def test_impossible_schedules_are_refused(tiny_teacher, schedule, message):
    """With what is allowed."""
    with pytest.raises(UserError, match=message):
        scheduled(tiny_teacher, schedule)


def test_a_phase_cannot_learn_a_scale(tiny_teacher):
    """Its parameter would not be there."""
    with pytest.raises(UserError, match="learns its scale"):
        scheduled(tiny_teacher, ["0.5=2-2-8"], "1-1-8", weights=SEQ)


@pytest.mark.parametrize("entry", ["0.5=8-8-8", "0.5=32-32-4"])
def test_learned_activations_have_no_scale_for_other_bits(tiny_teacher, entry):
    """The student learns one for its own bits alone; their phase is refused with the bits that go."""
    with pytest.raises(UserError, match=r"whose activation scales are learned.*2 or 32 bits"):
        scheduled(tiny_teacher, [entry], "2-2-2", activation_granularity="learned")


@pytest.mark.parametrize("entry", ["0.5=8-8-2", "0.5=8-8-32"])
def test_learned_activations_have_a_scale_for_their_own_bits(tiny_teacher, tiny_batch, entry):
    """Or are left alone."""
    student, schedule = scheduled(tiny_teacher, [entry], "2-2-2", activation_granularity="learned")
    with calibration(student):
        logits_of(student, tiny_batch)
    for step in (0, 9):
        schedule(step)
        assert logits_of(student, tiny_batch).isfinite().all()
