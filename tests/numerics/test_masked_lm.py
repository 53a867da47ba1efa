"""Masked language modelling: losses and gradients are transformers' own, only of targets, however a step is split."""

import random
from dataclasses import replace

import datasets
import pytest
import torch
import transformers
from hub_folders.bert_like import bert, bert_without_pooler, roberta
from hub_folders.files import ENGLISH
from teachers import ADAPTERS, Words, random_teacher

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import DECODER_TERMS, DistillationConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batch import collate, collate_rows
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.masking import Masking
from pipeline.data.noise import held_out, noised
from pipeline.data.tokenise import load_tokenizer
from pipeline.distillation.losses import logits_kl_sum
from pipeline.distillation.objective import DistillationObjective, TaskObjective, signals_of
from pipeline.evaluation.predict import token_scores
from pipeline.models.families import families, family_named, family_of
from pipeline.models.load import check_checkpoint, load_model, load_teacher, read_model_config
from pipeline.stages.memory import work_of
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


@pytest.mark.parametrize("name", ENCODERS)
def test_the_head_is_the_embedding_in_a_folder_too(name, tmp_path):
    """Stored once, and read back as one parameter; its bias likewise."""
    model = random_teacher(family_named(name, "masked LM"))
    model.save_pretrained(tmp_path)
    loaded, family = load_model(tmp_path, CPU), family_named(name, "masked LM")
    assert family_of(loaded.config) is family
    head = loaded.get_submodule(family.lm_head)
    assert head.weight is loaded.base_model.embeddings.word_embeddings.weight
    assert head.bias is loaded.get_submodule(family.head[0].removesuffix(".")).bias
    account = check_checkpoint(ModelConfig(pretrained=str(tmp_path)), None, "masked LM")
    assert (account.drawn, account.unused) == ([], [])


@pytest.mark.parametrize("name", ENCODERS)
def test_a_head_of_its_own_stays_its_own(name, tmp_path):
    """A checkpoint whose output projection is another matrix than its embedding."""
    family = family_named(name, "masked LM")
    model = random_teacher(family)
    head = model.get_submodule(family.lm_head)
    head.weight = torch.nn.Parameter(head.weight.detach() + 0.5)
    model.config.tie_word_embeddings = False
    model.save_pretrained(tmp_path / "mine")
    first = load_teacher(ModelConfig(pretrained=str(tmp_path / "mine")), WORDS, TASK, seed=0)
    first.save_pretrained(tmp_path / "again")
    for loaded in (first, load_model(tmp_path / "again", CPU)):
        assert torch.equal(loaded.get_submodule(family.lm_head).weight, head.weight)
        assert torch.equal(
            loaded.base_model.embeddings.word_embeddings.weight, model.base_model.embeddings.word_embeddings.weight
        )


@pytest.mark.parametrize("name", ENCODERS)
def test_a_masked_lm_becomes_a_classifier_and_the_other_way_round(name, tmp_path):
    """The same encoder under a new head, drawn by the seed; what the other head was is left behind without a word."""
    masked_lm = load_teacher(ModelConfig(family=name, architecture=SHAPE), WORDS, TASK, seed=0)
    masked_lm.save_pretrained(tmp_path / "masked")
    as_it_was, labels = ModelConfig(pretrained=str(tmp_path / "masked")), ["no", "yes"]
    one, other = (load_teacher(as_it_was, WORDS, CLASSES, seed, labels) for seed in (1, 2))
    account = check_checkpoint(as_it_was, None, "classifier")
    assert any(key.startswith("classifier.") for key in account.drawn) and account.unused == []
    drawn = [key for key in account.drawn if key.startswith("classifier.") and key.endswith("weight")]
    assert all(not torch.equal(one.get_parameter(key), other.get_parameter(key)) for key in drawn)
    one.save_pretrained(tmp_path / "classifier")
    back = ModelConfig(pretrained=str(tmp_path / "classifier"))
    again = load_teacher(back, WORDS, TASK, seed=3)
    account = check_checkpoint(back, None, "masked LM")
    assert account.drawn and all(key.startswith(family_of(again.config).head) for key in account.drawn)
    assert account.unused == []
    kinds = [family_of(loaded.config).kind for loaded in (masked_lm, one, again)]
    assert kinds == ["masked LM", "classifier", "masked LM"]
    encoder = masked_lm.base_model.state_dict()
    for loaded in (one, again):
        assert all(torch.equal(tensor, loaded.base_model.state_dict()[key]) for key, tensor in encoder.items())
    decoder = again.get_submodule(family_of(again.config).lm_head)
    assert decoder.weight is again.base_model.embeddings.word_embeddings.weight


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_alone_gets_a_head(name, tmp_path):
    """As of sentence encoders, which have none; the whole of it is new, and its bias starts at 0."""
    whole = random_teacher(family_named(name, "masked LM"))
    whole.base_model.save_pretrained(tmp_path)
    model = ModelConfig(pretrained=str(tmp_path))
    account = check_checkpoint(model, None, "masked LM")
    head = family_named(name, "masked LM").head
    assert account.drawn and all(key.startswith(head) for key in account.drawn)
    loaded = load_teacher(model, WORDS, TASK, seed=1)
    assert not loaded.get_submodule(family_named(name, "masked LM").lm_head).bias.any()
    encoder = whole.base_model.state_dict()
    assert all(torch.equal(tensor, loaded.base_model.state_dict()[key]) for key, tensor in encoder.items())


@pytest.mark.parametrize("make", [bert, bert_without_pooler, roberta], ids=lambda make: make.__name__)
def test_folders_of_the_hub_are_read_whole(make, tmp_path):
    """Old names of norms, no output projection, heads of other tasks: logits are those of transformers, bit for bit."""
    folder = make(tmp_path / "hub")
    model = ModelConfig(pretrained=str(folder))
    account = check_checkpoint(model, None, "masked LM")
    assert (account.drawn, account.unused) == ([], [])
    tokenizer = load_tokenizer(model)
    loaded = load_teacher(model, tokenizer, TASK, seed=0).eval()
    plain = transformers.AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    inputs = dict(tokenizer(ENGLISH, padding=True, return_tensors="pt"))
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, plain(**inputs).logits)
    assert not check_checkpoint(model, None, "classifier").unused


@pytest.mark.parametrize("name", ENCODERS)
def test_half_a_head_is_refused(name, tmp_path):
    """A folder that has part of it has lost the rest; a bias for other tokens is another model's."""
    family = family_named(name, "masked LM")
    model = random_teacher(family)
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith(family.lm_head)}
    lost = next(key for key in state if key.startswith(family.head) and key.endswith("dense.bias"))
    model.save_pretrained(tmp_path, state_dict={key: tensor for key, tensor in state.items() if key != lost})
    with pytest.raises(UserError, match=rf"lacks {lost} of a {name} model"):
        check_checkpoint(ModelConfig(pretrained=str(tmp_path)), None, "masked LM")
    bias = f"{family.head[0]}bias"
    model.save_pretrained(tmp_path, state_dict=state | {bias: torch.zeros(200)})
    with pytest.raises(UserError, match=rf"holds {bias} of shape \(200,\)"):
        check_checkpoint(ModelConfig(pretrained=str(tmp_path)), None, "masked LM")


@pytest.mark.parametrize("name", sorted(set(families()) - set(ENCODERS)))
def test_a_model_with_a_decoder_is_no_masked_lm(name):
    """Whatever it is read for."""
    with pytest.raises(UserError, match=f"a masked LM of the family {name}. Allowed: a seq2seq"):
        read_model_config(ModelConfig(family=name), WORDS, kind="masked LM")


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_configuration_says_of_which_kind_its_model_is(name, tmp_path):
    """Read from a folder, too."""
    family = ADAPTERS[name]
    config = random_teacher(family).config
    assert family_of(config) is family
    random_teacher(family).save_pretrained(tmp_path)
    assert family_of(load_model(tmp_path, CPU).config) is family


def test_logits_of_a_masked_lm_are_those_of_the_vocabulary_and_of_a_classifier_its_labels():
    """In the estimates of memory."""
    for name in ENCODERS:
        usual = family_named(name)
        of = {one.kind: work_of(random_teacher(one).config).num_logits for one in (usual, *usual.other_kinds)}
        assert of == {"classifier": 2, "masked LM": 203}
