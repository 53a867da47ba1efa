"""Masked language modelling: losses and gradients are transformers' own, only of targets, however a step is split."""

import random
from dataclasses import replace

import datasets
import pytest
import torch
import transformers
from teachers import Words, random_teacher

from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import DECODER_TERMS, DistillationConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batch import collate, collate_rows
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.masking import Masking
from pipeline.data.noise import held_out, noised
from pipeline.distillation.losses import logits_kl_sum
from pipeline.distillation.objective import DistillationObjective, TaskObjective, signals_of
from pipeline.evaluation.predict import token_scores
from pipeline.models.families import family_named, family_of
from pipeline.models.load import load_teacher
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import Learner, LoopSettings, Progress, TokenCounts, train_cohort
from pipeline.training.optim import adamw
from pipeline.training.random_stream import RandomStream

CPU, PAD = torch.device("cpu"), 1
MASKING = Masking(mask_id=4, special=frozenset(range(5)), words=tuple(range(5, 203)))
TASK = TaskConfig(objective="masked_lm")
CLASSES = TaskConfig(objective="classification", metric="accuracy")
ENCODERS = ["bert", "roberta"]
SHAPE = ArchitectureConfig(d_model=32, ffn_dim=64, num_heads=4, encoder_layers=2, max_positions=48)
WORDS = Words(bos_token_id=0, pad_token_id=PAD, eos_token_id=2)


@pytest.fixture(params=ENCODERS)
def model(request):
    """A random masked LM of each family, without dropout."""
    return random_teacher(family_named(request.param, "masked LM"))


def rows_of(num_rows, seed=0):
    """Ragged texts as token ids."""
    draw = random.Random(seed)
    return [[0, *(draw.randrange(5, 203) for _ in range(draw.randint(1, 30))), 2] for _ in range(num_rows)]


def masked_batch(rows, seed=0):
    """A batch of texts, each masked by a source of randomness that depends on the text alone."""
    randoms = [random.Random(f"{seed}:{row}") for row in rows]
    return collate_rows(noised({"input_ids": rows, "labels": rows}, MASKING, randoms), PAD, None)


def counts_of(batches):
    return TokenCounts(
        num_source=sum(batch.num_source_tokens for batch in batches),
        num_target=sum(batch.num_target_tokens for batch in batches),
    )


class Engine:
    """Only what an objective asks of an engine."""

    def __init__(self, model):
        self.module = self.forward = model


def gradients_of(model, batches, objective=None):
    """Loss and gradients of a step of these micro-batches."""
    model.zero_grad()
    counts, total = counts_of(batches), 0.0
    for batch in batches:
        loss = sum((objective or TaskObjective())(Engine(model), batch, None, counts).values())
        loss.backward()
        total += loss.item()
    return total, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def dense_labels(batch):
    """The labels as transformers takes them: one for every source token."""
    labels = torch.full_like(batch.input_ids, -100)
    for row in range(len(labels)):
        kept = batch.labels[row] != -100
        labels[row, batch.target_positions[row][kept]] = batch.labels[row][kept]
    return labels


def test_loss_and_gradient_are_those_of_transformers(model, tmp_path):
    """Of its own class, which makes logits everywhere and takes the mean over the targets."""
    model.double().save_pretrained(tmp_path)
    plain = getattr(transformers, type(model).__name__)
    reference = plain.from_pretrained(tmp_path, attn_implementation="eager", dtype=torch.float64).eval()
    assert type(reference) is plain is not type(model)
    batch = masked_batch(rows_of(7))
    loss, gradients = gradients_of(model, [batch])
    output = reference(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=dense_labels(batch))
    output.loss.backward()
    # The loss is taken in fp32 at least, here in fp64 like everything else.
    assert loss == pytest.approx(output.loss.item(), rel=1e-13)
    theirs = dict(reference.named_parameters())
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, theirs[name].grad, rtol=0, atol=1e-13)


def test_in_fp32_the_loss_is_that_of_transformers_to_rounding(model, tmp_path):
    """And logits at targets are bit for bit those of a pass over all places."""
    model.save_pretrained(tmp_path)
    plain = getattr(transformers, type(model).__name__)
    reference = plain.from_pretrained(tmp_path, attn_implementation="eager").eval()
    batch = masked_batch(rows_of(7))
    with torch.no_grad():
        mine = TaskObjective()(Engine(model), batch, None, counts_of([batch]))["task_loss"]
        theirs = reference(batch.input_ids, batch.attention_mask, labels=dense_labels(batch))
    assert mine.item() == pytest.approx(theirs.loss.item(), rel=1e-6)


def test_logits_are_made_at_targets_alone(model):
    """As many as labels; without positions everywhere, as for a model that is looked at."""
    batch = masked_batch(rows_of(5))
    seen = []
    decoder = model.get_submodule(family_of(model.config).lm_head)
    decoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    with torch.no_grad():
        whole = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        signals = signals_of(model, batch)
    assert seen == [(*batch.input_ids.shape, 203), (*batch.labels.shape, 203)]
    assert batch.labels.shape[1] < batch.input_ids.shape[1] / 3
    chosen = whole.gather(1, batch.target_positions[..., None].expand(-1, -1, 203))
    torch.testing.assert_close(signals.logits, chosen, rtol=0, atol=1e-5)
    assert [len(signals.encoder_hidden), len(signals.encoder_attention)] == [4, 3]


def test_splitting_a_step_changes_no_gradient(model):
    """Micro-batches of one, two or eight examples, with and without an idle rank's filler, in another order."""
    model.double()
    rows = rows_of(8)
    whole = gradients_of(model, [masked_batch(rows)])
    ways = [[rows[i : i + size] for i in range(0, 8, size)] for size in (1, 2)] + [[rows[::-1]], [rows, []]]
    for parts in ways:
        batches = [masked_batch(part) if part else collate([], [], PAD, None) for part in parts]
        loss, gradients = gradients_of(model, batches)
        assert loss == pytest.approx(whole[0], rel=1e-12)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, whole[1][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [[[0, 2]], [[0, 2], [0, 3, 2]]])
def test_texts_without_words_teach_nothing(model, rows):
    """Their loss and gradient are exactly 0."""
    batch = masked_batch(rows)
    assert (batch.num_source_tokens, batch.num_target_tokens) == (0, 0)
    loss, gradients = gradients_of(model, [masked_batch(rows_of(3)), batch])
    alone, expected = gradients_of(model, [masked_batch(rows_of(3))])
    assert loss == alone
    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients.items())


def test_a_student_is_compared_with_its_teacher_at_targets_alone(model):
    """Hinton's distance over masked tokens, divided by their number; nothing of a decoder."""
    student = random_teacher(family_of(model.config))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)), alpha=0.05)
    batch = masked_batch(rows_of(6))
    weights = replace(DistillationConfig(), **dict.fromkeys(DECODER_TERMS, 0.0), logits=0.5, task=0.1, temperature=2.0)
    objective = DistillationObjective(weights=weights, encoder_map=[0, 1, 2], decoder_map=[])
    with torch.no_grad():
        signals, counts = signals_of(model, batch), counts_of([batch])
        terms = objective(Engine(student), batch, signals, counts)
        places = dense_labels(batch) != -100
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        mine, theirs = (one(**inputs).logits for one in (student, model))
        expected = 0.5 * logits_kl_sum(mine, theirs, places, 2.0) / int(places.sum())
        own = TaskObjective()(Engine(student), batch, None, counts)["task_loss"]
    assert terms["logits_loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert terms["task_loss"].item() == pytest.approx(0.1 * own.item(), rel=1e-6)
    assert {"encoder_hidden_loss", "encoder_attention_loss"} <= set(terms)


def split_of(num_rows, seed=0):
    rows = rows_of(num_rows, seed)
    columns = {"input_ids": rows, "labels": rows, "source_tokens": list(map(len, rows))}
    return datasets.Dataset.from_dict(columns | {"target_tokens": [MASKING.num_targets(row, row) for row in rows]})


def scores(model, split, batch_tokens=99, num_ranks=1):
    parts = []
    for rank in range(num_ranks):
        shares = {"rank": rank, "num_ranks": num_ranks, "gather": lambda part: parts.append(part) or parts}
        found = token_scores(model, split, batch_tokens=batch_tokens, noise=MASKING, **shares)
    return found


def test_validation_asks_the_same_of_every_model_whenever_it_is_asked(model):
    """The masks are those of the example's number: neither calls nor batches nor ranks change them."""
    split = split_of(20)
    first = scores(model.double(), split)
    assert scores(model, split) == first
    for others in ({"batch_tokens": 40}, {"batch_tokens": 4000}, {"num_ranks": 3}):
        found = scores(model, split, **others)
        assert found.loss == pytest.approx(first.loss, rel=1e-6)
        assert found.accuracy == first.accuracy
    rows = split[:]
    batch = collate_rows(
        held_out({name: rows[name] for name in ("input_ids", "labels")}, MASKING, range(20)), PAD, None
    )
    with torch.no_grad():
        logits = model(**batch.inputs).logits
    kept = batch.labels != -100
    expected = torch.nn.functional.cross_entropy(logits[kept].float(), batch.labels[kept]).item()
    assert first.loss == pytest.approx(expected, rel=1e-6)
    assert first.accuracy == pytest.approx(100 * (logits.argmax(-1) == batch.labels)[kept].double().mean().item())
    # Of the first examples alone each is asked as before.
    few = scores(model, split.select(range(7)))
    assert few.loss != first.loss
    assert few == scores(model, split.select(range(7)))


def learner_of(model, dropout, learning_rate=1e-2):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    return Learner(
        name="one",
        engine=TorchEngine(
            model.train(), adamw(model.parameters(), TrainConfig()), precision="fp32", max_gradient_norm=1.0
        ),
        objective=TaskObjective(),
        learning_rate=lambda step: learning_rate,
        listener=type("Silent", (), {"metrics": lambda *_: None, "failed": lambda *_: None})(),
        random=RandomStream(7, CPU),
    )


def batches_of(rows, num_ranks=1):
    lengths = [(len(row), MASKING.num_targets(row, row)) for row in rows]
    plan = BatchPlan(lengths=lengths, batch_tokens=60, micro_batch_tokens=40, num_ranks=num_ranks, seed=5)
    split = datasets.Dataset.from_dict({"input_ids": rows, "labels": rows})
    return TrainingBatches(split, plan, rank=0, pad_id=PAD, decoder_start_id=None, noise=MASKING)


@pytest.mark.parametrize("name", ENCODERS)
def test_training_that_was_interrupted_goes_on_bit_for_bit(name, tmp_path):
    """Masks of later epochs, dropout and moments included; the head stays the embedding."""
    rows, num_steps, states = rows_of(9), 9, []
    for breaks in ([num_steps], [4, num_steps]):
        progress = Progress()
        for limit in breaks:
            learner = learner_of(random_teacher(family_named(name, "masked LM")), 0.1)
            if progress.step:
                progress = Checkpointer(tmp_path).restore([learner])
            settings = LoopSettings(num_steps=limit, log_every_steps=100)
            train_cohort([learner], batches_of(rows), settings, device=CPU, progress=progress)
            Checkpointer(tmp_path).save([learner], progress)
        assert progress.epoch > 0
        states.append(learner.engine.module.state_dict())
        embedding = learner.engine.module.base_model.embeddings.word_embeddings.weight
        assert learner.engine.module.get_submodule(family_of(learner.engine.module.config).lm_head).weight is embedding
    before = random_teacher(family_named(name, "masked LM")).state_dict()
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert any(not torch.equal(tensor, before[key]) for key, tensor in states[0].items())


def test_a_model_learns_what_was_masked():
    """Texts in which every word follows from its neighbour."""
    model = load_teacher(ModelConfig(family="bert", architecture=replace(SHAPE, init_std=0.05)), WORDS, TASK, seed=0)
    rows = [[0, *range(5 + i % 5, 17 + i % 5), 2] for i in range(40)]
    split = datasets.Dataset.from_dict(
        {"input_ids": rows, "labels": rows, "source_tokens": [14] * 40, "target_tokens": [2] * 40}
    )
    before = scores(model, split)
    settings = LoopSettings(num_steps=300, log_every_steps=1000)
    train_cohort([learner_of(model, 0.0, 3e-3)], batches_of(rows), settings, device=CPU, progress=Progress())
    after = scores(model, split)
    assert before.loss > 4 and after.loss < 1.5
    assert before.accuracy < 20 and after.accuracy > 50
