"""What a teacher is asked for: what the losses compare, and nothing else."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.config.sections.recipe import LAYER_TERMS, DistillationConfig, QuantizationConfig
from pipeline.distillation.losses_as_published import PublishedObjective
from pipeline.distillation.objective import DistillationObjective, TaskObjective, signals_of
from pipeline.distillation.recording import modules_named, relations_of
from pipeline.models.student import prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.training.loop import TokenCounts

COUNTS = TokenCounts(num_source=30, num_target=20)
ATTENTION = {"encoder_attention", "decoder_attention", "cross_attention"}
HIDDEN = {"encoder_hidden", "decoder_hidden", "contrastive"}


class Asked:
    """A model that remembers what it was asked for."""

    def __init__(self, model):
        self.model, self.seen = model, []

    def __call__(self, **inputs):
        self.seen.append((inputs["output_attentions"], inputs["output_hidden_states"]))
        return self.model(**inputs)

    def get_submodule(self, name):
        return self.model.get_submodule(name)


def objective_of(student, teacher, **weights):
    """Task and logits, and what else has a weight."""
    config = DistillationConfig(**dict.fromkeys(LAYER_TERMS, 0.0) | weights)
    relations = relations_of(config, student, teacher)
    return DistillationObjective(weights=config, encoder_map=[1], decoder_map=[1], relations=relations)


def student_of(make_bart):
    """Quantized, so that its attention is the quantized one."""
    student = make_bart(1, 1)
    prepare_student(student, scheme_of("2-2-8", QuantizationConfig()))
    return student


def showing_all(model):
    """A forward pass that returns maps and states, whoever asks."""
    return lambda **inputs: model(**inputs | {"output_attentions": True, "output_hidden_states": True})


def terms_and_gradients(objective, student, batch, signals, forward):
    terms = objective(SimpleNamespace(module=student, forward=forward), batch, signals, COUNTS)
    gradients = torch.autograd.grad(sum(terms.values()), list(student.parameters()), allow_unused=True)
    return [*terms.values(), *gradients]


@pytest.mark.parametrize("term", [None, *LAYER_TERMS])
def test_what_is_not_compared_is_not_asked_for_and_no_bit_of_a_loss_changes(make_bart, tiny_batch, term):
    """Neither of the teacher nor of the student; losses and gradients are those of two models that show all.

    With relations, too, the teacher's number of heads is known without its maps.
    """
    teacher, student = make_bart(2, 2, seed=1), student_of(make_bart)
    objective = objective_of(student, teacher, **({} if term is None else {term: 1.0}))
    asked, asked_student = Asked(teacher), Asked(student)
    signals = teacher_pass(asked, [objective, TaskObjective()], "fp32")(tiny_batch)
    assert asked.seen == [(term in ATTENTION, term in HIDDEN)]
    with torch.no_grad():
        everything = signals_of(teacher, tiny_batch, recorded=modules_named(teacher, objective.teacher_modules))
    found = terms_and_gradients(objective, student, tiny_batch, signals, asked_student)
    expected = terms_and_gradients(objective, student, tiny_batch, everything, showing_all(student))
    assert all(one is other is None or torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len(expected) == 2 + (term is not None) + len(list(student.parameters()))
    assert asked_student.seen == asked.seen


def test_a_cohort_is_shown_what_one_of_it_compares(make_bart, tiny_batch):
    """And the published losses compare all, whatever their weights are."""
    teacher, student = make_bart(2, 2, seed=1), make_bart(1, 1)
    logits, hidden = objective_of(student, teacher), objective_of(student, teacher, encoder_hidden=1.0)
    config = DistillationConfig(reduction="tensor", logits_kind="mse", encoder_attention=0.0)
    published = PublishedObjective(weights=config, encoder_map=[1], decoder_map=[1], as_released=False)
    for objectives, expected in (([logits, hidden], (False, True)), ([logits, published], (True, True))):
        asked = Asked(teacher)
        teacher_pass(asked, objectives, "fp32")(tiny_batch)
        assert asked.seen == [expected]
