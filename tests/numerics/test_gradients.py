"""Laws 7 and 10: how a batch is cut, padded and accompanied changes no gradient; the teacher never changes."""

import datasets
import pytest
import torch
from torch.nn import functional

from pipeline.config.sections.recipe import DistillationConfig, QuantizationConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batch import IGNORED_LABEL, Batch
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.distillation.objective import DistillationObjective, signals_of
from pipeline.distillation.recording import modules_named, relations_of
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import Learner, LoopSettings, Progress, TokenCounts, train_cohort
from pipeline.training.optim import adamw
from pipeline.training.random_stream import RandomStream

CPU, MAPS = torch.device("cpu"), {"encoder_map": [0, 2], "decoder_map": [2]}
CLOSE = {"rtol": 0, "atol": 1e-9}


class Silent:
    def metrics(self, values, step):
        pass

    def failed(self, reason):
        raise AssertionError(reason)


@pytest.fixture
def learner(tiny_teacher):
    """A 2-1 student of the teacher's precision, in training mode."""

    def make(scheme: str, dropout: float = 0.0, **weights) -> Learner:
        student = build_student(tiny_teacher, *MAPS.values(), dropout).to(tiny_teacher.dtype).train()
        prepare_student(student, scheme_of(scheme, QuantizationConfig()))
        config = DistillationConfig(**weights)
        relations = relations_of(config, student, tiny_teacher)
        return Learner(
            name=scheme,
            engine=TorchEngine(
                student, adamw(student.parameters(), TrainConfig()), precision="fp32", max_gradient_norm=1.0
            ),
            objective=DistillationObjective(weights=config, relations=relations, **MAPS),
            learning_rate=lambda step: 1e-3,
            listener=Silent(),
            random=RandomStream(0, CPU),
        )

    return make


@pytest.fixture
def gradient(tiny_teacher, learner):
    """The gradient of an optimiser step's micro-batches in float64, by parameter."""
    tiny_teacher.double()

    def make(scheme: str, micro_batches: list[Batch], counts: TokenCounts | None = None, **weights):
        student = learner(scheme, **weights)
        counts = counts or TokenCounts(
            num_source=sum(b.num_source_tokens for b in micro_batches),
            num_target=sum(b.num_target_tokens for b in micro_batches),
        )
        for batch in micro_batches:
            with torch.no_grad():
                recorded = modules_named(tiny_teacher, student.objective.teacher_modules)
                signals = signals_of(tiny_teacher, batch, recorded=recorded)
            student.engine.backward(sum(student.objective(student.engine, batch, signals, counts).values()))
        return {name: parameter.grad for name, parameter in student.engine.module.named_parameters()}

    return make


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert max(float(value.abs().max()) for value in one.values()) > 1e-3
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=lambda text, name=name: f"{name}: {text}", **CLOSE)


def widen(batch: Batch, extra: int) -> Batch:
    return Batch(
        input_ids=functional.pad(batch.input_ids, (0, extra), value=1),
        attention_mask=functional.pad(batch.attention_mask, (0, extra), value=0),
        decoder_input_ids=functional.pad(batch.decoder_input_ids, (0, extra), value=1),
        labels=functional.pad(batch.labels, (0, extra), value=IGNORED_LABEL),
    )


LATER = {"attention_kind": "kl", "hidden_kind": "normalised", "contrastive": 1.0}
LATER |= {"encoder_relations": 1.0, "decoder_relations": 1.0, "relation_heads": 2, "decoder_relation_layer": 0}
WEIGHTS = [{}, {"logits_kind": "mse", "decoder_hidden": 0.0}, {"temperature": 2.0, "task": 0.0}, LATER]


@pytest.mark.parametrize("weights", WEIGHTS, ids=["recipe", "mse", "temperature", "later"])
@pytest.mark.parametrize("scheme", ["2-2-8", "8-8-8"])
def test_splitting_a_batch_changes_no_gradient(gradient, make_rows, batch_of, scheme, weights):
    """Eight micro-batches of one example, four of two, one of eight; with and without an idle rank's filler."""
    rows = make_rows(8)
    whole = gradient(scheme, [batch_of(rows)], **weights)
    for size in (1, 2):
        parts = [batch_of(rows[i : i + size]) for i in range(0, 8, size)]
        assert_same(whole, gradient(scheme, parts, **weights))
    assert_same(whole, gradient(scheme, [batch_of(rows), batch_of([])], **weights))


@pytest.mark.parametrize("weights", [{}, LATER], ids=["recipe", "later"])
@pytest.mark.parametrize("scheme", ["2-2-8", "8-8-8"])
@pytest.mark.parametrize("extra", [1, 7, 30])
def test_padding_a_batch_further_changes_no_gradient(gradient, tiny_batch, scheme, extra, weights):
    """Neither scales nor losses see padding."""
    wide = widen(tiny_batch, extra)
    assert_same(gradient(scheme, [tiny_batch], **weights), gradient(scheme, [wide], **weights))


@pytest.mark.parametrize("weights", [{}, LATER], ids=["recipe", "later"])
@pytest.mark.parametrize("scheme", ["2-2-8", "8-8-8"])
def test_batch_mates_change_no_gradient(gradient, make_rows, batch_of, scheme, weights):
    """An example adds the same gradient whoever is beside it."""
    mine, counts = make_rows(2, seed=1), TokenCounts(num_source=60.0, num_target=40.0)
    alone = gradient(scheme, [batch_of(mine)], counts, **weights)
    for seed in (2, 3):
        mates = make_rows(4, seed=seed)
        together = gradient(scheme, [batch_of([*mates[:2], *mine, *mates[2:]])], counts, **weights)
        without = gradient(scheme, [batch_of(mates)], counts, **weights)
        assert_same(alone, {name: value - without[name] for name, value in together.items()})


def test_the_order_of_a_batch_changes_no_gradient(gradient, make_rows, batch_of):
    """Sorting by length is free."""
    rows = make_rows(6)
    assert_same(gradient("2-2-8", [batch_of(rows)]), gradient("2-2-8", [batch_of(rows[::-1])]))


def test_the_teacher_never_changes_while_its_students_do(tiny_teacher, learner, make_rows):
    """Bit for bit, over the steps of a whole cohort."""
    rows = make_rows(12)
    split = datasets.Dataset.from_dict({"input_ids": [r[0] for r in rows], "labels": [r[1] for r in rows]})
    plan = BatchPlan(
        lengths=[(len(s), len(t)) for s, t in rows], batch_tokens=60, micro_batch_tokens=40, num_ranks=1, seed=0
    )
    batches = TrainingBatches(split, plan, rank=0, pad_id=1, decoder_start_id=2)
    students = [learner(scheme, dropout=0.1) for scheme in ("2-2-8", "8-8-8", "32-32-32")]
    models = [tiny_teacher, *(student.engine.module for student in students)]
    before = [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in models]

    def teacher_pass(batch):
        with torch.no_grad():
            return signals_of(tiny_teacher, batch)

    limits = LoopSettings(num_steps=4, log_every_steps=2)
    train_cohort(students, batches, limits, device=CPU, progress=Progress(), teacher_pass=teacher_pass)
    same = [
        all(torch.equal(tensor, old[name]) for name, tensor in model.state_dict().items())
        for model, old in zip(models, before, strict=True)
    ]
    assert same == [True, False, False, False]
    assert all(p.grad is None and not p.requires_grad for p in tiny_teacher.parameters())
