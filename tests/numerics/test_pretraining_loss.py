"""The loss of pre-training: 0.1 CE + 0.5 T^2 KL at T = 2, one softmax each, at hidden tokens alone, by their number."""

import random

import numpy as np
import pytest
import torch
from teachers import Words

from pipeline.config.errors import UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.pretraining import EncoderConfig, PretrainingConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batch import IGNORED_LABEL, collate_rows
from pipeline.data.masking import Masking
from pipeline.data.noise import noised
from pipeline.models.load import load_teacher
from pipeline.stages.pretrain.learners import objective_of
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import TokenCounts
from pipeline.training.optim import adamw

PAD, VOCABULARY = 1, 203
MASKING = Masking(mask_id=4, special=frozenset(range(5)), words=tuple(range(5, VOCABULARY)))
TASK = TaskConfig(objective="masked_lm")
TEACHER = ModelConfig(
    family="roberta",
    architecture=ArchitectureConfig(d_model=32, ffn_dim=64, num_heads=4, encoder_layers=3, max_positions=48),
)
SMALL = EncoderConfig(d_model=24, ffn_dim=8, num_heads=2, encoder_layers=2, max_positions=48, init_std=0.3)
WIDE = EncoderConfig(d_model=32, ffn_dim=8, num_heads=2, encoder_layers=2, max_positions=48, init_std=0.3)


def model_of(config, seed):
    model = load_teacher(config, Words(bos_token_id=0, pad_token_id=PAD, eos_token_id=2), TASK, seed)
    return model.eval()


def batch_of(num_rows, seed=0):
    """A micro-batch of ragged masked texts."""
    draw = random.Random(seed)
    rows = [[0, *(draw.randrange(5, VOCABULARY) for _ in range(draw.randint(3, 30))), 2] for _ in range(num_rows)]
    randoms = [random.Random(f"{seed}:{row}") for row in rows]
    return collate_rows(noised({"input_ids": rows, "labels": rows}, MASKING, randoms), PAD, None)


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def written_out(student, teacher, labels, temperature=2.0):
    """(mean cross-entropy, mean KL) over the hidden tokens, in numpy and in fp64."""
    entropies, divergences = [], []
    for mine, theirs, label in zip(student, teacher, labels, strict=True):
        for place, token in enumerate(label):
            if token == IGNORED_LABEL:
                continue
            entropies.append(-log_softmax(mine[place])[token])
            said, known = log_softmax(mine[place] / temperature), log_softmax(theirs[place] / temperature)
            divergences.append(float((np.exp(known) * (known - said)).sum()))
    return np.mean(entropies), np.mean(divergences), len(entropies)


@pytest.fixture
def losses():
    """`losses(settings, *micro-batches)`: the student's terms, summed over micro-batches, and both models."""

    def of(settings, *batches):
        config = PretrainJob(task=TASK, pretraining=settings, student=TrainConfig(dropout=0.0))
        small = ModelConfig(family="roberta", architecture=settings.architecture.whole)
        teacher, student = model_of(TEACHER, 1).requires_grad_(False), model_of(small, 2)
        objective = objective_of(config, student, teacher)
        engine = TorchEngine(
            student, adamw(student.parameters(), TrainConfig()), precision="fp32", max_gradient_norm=0.0
        )
        signals = teacher_pass(teacher, [objective], "fp32")
        counts = TokenCounts(
            num_source=sum(one.num_source_tokens for one in batches),
            num_target=sum(one.num_target_tokens for one in batches),
        )
        found = [objective(engine, batch, signals(batch), counts) for batch in batches]
        summed = {name: sum(float(terms[name].detach()) for terms in found) for name in found[0]}
        return summed, student, teacher, objective

    return of


def test_the_loss_is_that_of_the_released_scripts_with_one_softmax(losses):
    """Against the formula in numpy; the number of hidden tokens is that of all micro-batches."""
    batches = [batch_of(3), batch_of(5, seed=1)]
    found, student, teacher, objective = losses(PretrainingConfig(architecture=SMALL), *batches)
    entropy = divergence = number = 0.0
    for batch in batches:
        with torch.no_grad():
            mine, theirs = (model(**batch.inputs).logits.double().numpy() for model in (student, teacher))
        one = written_out(mine, theirs, batch.labels.numpy())
        entropy, divergence, number = entropy + one[0] * one[2], divergence + one[1] * one[2], number + one[2]
    assert number == sum(batch.num_target_tokens for batch in batches)
    expected = {"task_loss": 0.1 * entropy / number, "logits_loss": 0.5 * 4 * divergence / number}
    assert found == pytest.approx(expected, rel=1e-5)
    assert (objective.weight("task_loss"), objective.weight("logits_loss")) == (0.1, 0.5)


def test_nothing_but_hidden_tokens_counts(losses):
    """What a model says of tokens that everybody sees, or of padding, is nobody's business."""
    batch = batch_of(3)
    found, student, _, _ = losses(PretrainingConfig(architecture=SMALL), batch)
    assert student(**batch.inputs).logits.shape[:2] == batch.labels.shape
    assert batch.labels.size(1) < batch.input_ids.size(1) // 2
    alone = [losses(PretrainingConfig(architecture=SMALL), row)[0] for row in rows_of(batch)]
    numbers = [row.num_target_tokens for row in rows_of(batch)]
    for name, value in found.items():
        mean = sum(one[name] * number for one, number in zip(alone, numbers, strict=True)) / sum(numbers)
        assert value == pytest.approx(mean, rel=1e-4)


def rows_of(batch):
    """The rows of a batch, each without its padding."""
    for row in range(batch.input_ids.size(0)):
        length, targets = int(batch.attention_mask[row].sum()), int((batch.labels[row] != IGNORED_LABEL).sum())
        columns = {"input_ids": batch.input_ids[row, :length], "labels": batch.labels[row, :targets]}
        columns["target_positions"] = batch.target_positions[row, :targets]
        yield collate_rows({name: [values.tolist()] for name, values in columns.items()}, PAD, None)


def test_a_student_that_is_its_teacher_has_the_cross_entropy_alone(losses):
    """The divergence of a model from itself is nothing."""
    shape = EncoderConfig(d_model=32, ffn_dim=64, num_heads=4, encoder_layers=3, max_positions=48)
    batch = batch_of(4)
    settings = PretrainingConfig(architecture=shape, task=1.0)
    config = PretrainJob(task=TASK, pretraining=settings)
    model = model_of(TEACHER, 1)
    objective = objective_of(config, model, model)
    engine = TorchEngine(model, adamw(model.parameters(), TrainConfig()), precision="fp32", max_gradient_norm=0.0)
    counts = TokenCounts(num_source=batch.num_source_tokens, num_target=batch.num_target_tokens)
    found = objective(engine, batch, teacher_pass(model, [objective], "fp32")(batch), counts)
    assert float(found["logits_loss"].detach()) == 0.0 and float(found["task_loss"].detach()) > 1.0


def test_states_and_relations_are_compared_where_shapes_allow(losses):
    """Relations at any width; states at the same one; both pull at the student."""
    batch = batch_of(4)
    both = PretrainingConfig(architecture=WIDE, hidden=1.0, relations=1.0, relation_heads=4)
    found, *_ = losses(both, batch)
    assert set(found) == {"task_loss", "logits_loss", "encoder_hidden_loss", "encoder_relations_loss"}
    assert all(value > 0 for value in found.values())
    narrow, *_ = losses(PretrainingConfig(architecture=SMALL, relations=1.0, relation_heads=4), batch)
    assert set(narrow) == {"task_loss", "logits_loss", "encoder_relations_loss"}


def test_weights_that_teach_nothing_are_refused():
    """Without a teacher's losses another job pre-trains."""
    with pytest.raises(UserError, match=r"all 0: nothing is learned from the teacher.*finetune_teacher"):
        PretrainingConfig(logits=0.0)
    with pytest.raises(UserError, match=r"3 heads in a width of 1024"):
        EncoderConfig(num_heads=3)
