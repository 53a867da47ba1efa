"""Pairs of texts: token types on every path, labels, classifiers on top of pre-trained encoders."""

import datasets
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.batch import collate_rows
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.corpora import Corpus
from pipeline.data.labels import labels_of
from pipeline.data.tokenise import tokenise
from pipeline.evaluation.latency import classification_run
from pipeline.evaluation.predict import predict_labels
from pipeline.models.forward import position_logits
from pipeline.models.load import load_teacher, pretrained_labels

TASK = TaskConfig(objective="classification", metric="accuracy", max_source_tokens=8)
SHAPE = ArchitectureConfig(d_model=16, ffn_dim=16, num_heads=2, encoder_layers=2, max_positions=16)
TEXTS = {"source": ["a b", "c", "a b c a b c a"], "second": ["c", "b a", "b"], "target": ["no", "yes", "yes"]}


@pytest.fixture
def tokenizer():
    """BERT's: word pieces, and token types 0 and 1 for the texts of a pair."""
    vocab = {token: i for i, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c"))}
    words = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_input_names=inputs, bos_token="[CLS]", eos_token="[SEP]", **names
    )


@pytest.fixture
def split(tokenizer, tmp_path):
    corpus = Corpus(splits={"train": Dataset.from_dict(TEXTS)}, fingerprint="x")
    return tokenise(corpus, TASK, tokenizer, tmp_path, labels_of(corpus, TASK))["train"]


def classifier(tokenizer, labels=("no", "yes"), **model):
    return load_teacher(ModelConfig(family="bert", architecture=SHAPE, **model), tokenizer, TASK, 0, labels).eval()


def test_a_pair_is_one_sequence_with_two_types_and_loses_the_end_of_its_longer_text(split):
    """The label is one target token; cuts are counted."""
    rows = split.examples.to_dict()
    assert rows["input_ids"][:2] == [[2, 4, 5, 3, 6, 3], [2, 6, 3, 5, 4, 3]]
    assert rows["token_type_ids"] == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1]]
    assert rows["input_ids"][2] == [2, 4, 5, 6, 4, 3, 5, 3]
    assert rows["labels"] == [[0], [1], [1]]
    assert (split.num_cut_sources, split.num_cut_targets) == (1, 0)


def test_no_progress_bar_is_shown(split):
    """Job logs are read by people."""
    assert datasets.are_progress_bars_disabled()


def rows_of(batch):
    return zip(batch.token_type_ids, batch.attention_mask, strict=True)


def test_token_types_reach_the_model_on_every_path(tokenizer, split):
    """Training batches, also of a rank without examples; prediction; timing."""
    plan = BatchPlan(lengths=split.lengths(), batch_tokens=99, micro_batch_tokens=99, num_ranks=4, seed=0)
    ranks = [TrainingBatches(split.examples, plan, rank=r, pad_id=0, decoder_start_id=None) for r in range(4)]
    batches = [batch for rank in ranks for step in rank.steps(0) for batch in step]
    seen = sorted(types[: mask.sum()].tolist() for b in batches for types, mask in rows_of(b))
    assert seen == sorted([[0], *split.examples["token_type_ids"][:]])
    model, asked = classifier(tokenizer), []
    model.register_forward_pre_hook(lambda _, __, inputs: asked.append(inputs["token_type_ids"]), with_kwargs=True)
    batch = collate_rows(split.examples[:], 0, None)
    assert torch.equal(batch.token_type_ids[0, :6], torch.tensor([0, 0, 0, 0, 1, 1]))
    plain = {name: tensor for name, tensor in batch.inputs.items() if name != "token_type_ids"}
    with torch.no_grad():
        expected = position_logits(model(**batch.inputs))[:, 0]
        assert not torch.equal(expected, model(**plain, token_type_ids=None).logits)
    settings = {"batch_tokens": 99, "rank": 0, "num_ranks": 1, "gather": lambda part: [part]}
    asked.clear()
    found = predict_labels(model, split.examples, ["no", "yes"], **settings)
    assert found == [["no", "yes"][i] for i in expected.argmax(dim=-1)]
    assert classification_run(model, 0)(split.examples.to_list()) == 20
    assert [types.sum() for types in asked] == [batch.token_type_ids.sum()] * 2


def test_a_pair_of_which_nothing_would_be_left_is_refused(tokenizer, tmp_path):
    """Three special tokens need their places."""
    task = TaskConfig(objective="classification", metric="accuracy", max_source_tokens=2)
    corpus = Corpus(splits={"train": Dataset.from_dict(TEXTS)}, fingerprint="x")
    with pytest.raises(UserError, match="max_source_tokens=2 for pairs"):
        tokenise(corpus, task, tokenizer, tmp_path, ["no", "yes"])


@pytest.mark.parametrize(
    ("given", "targets", "message"),
    [([], ["no", "no"], "'no' alone"), (["yes", "no"], ["no", "maybe"], "label 'maybe' in split 'train'.*yes, no")],
)
def test_labels_must_be_two_and_known(given, targets, message):
    """In every split."""
    corpus = Corpus(splits={"train": Dataset.from_dict({"target": targets})}, fingerprint="x")
    with pytest.raises(UserError, match=message):
        labels_of(corpus, TaskConfig(objective="classification", metric="accuracy", labels=given))


def test_a_pre_trained_classifier_keeps_its_labels_and_an_encoder_gets_new_ones(tokenizer, tmp_path):
    """The names are in the folder; other labels start a classifier from the seed, over the same encoder."""
    first = classifier(tokenizer, labels=["yes", "no", "maybe"])
    first.save_pretrained(tmp_path)
    pretrained = {"pretrained": str(tmp_path)}
    assert pretrained_labels(ModelConfig(**pretrained)) == ["yes", "no", "maybe"]
    again = classifier(tokenizer, labels=["yes", "no", "maybe"], **pretrained)
    assert torch.equal(again.classifier.weight, first.classifier.weight)
    one, other = (classifier(tokenizer, labels=["no", "yes"], **pretrained) for _ in range(2))
    assert one.config.id2label == {0: "no", 1: "yes"}
    assert torch.equal(one.classifier.weight, other.classifier.weight)
    assert torch.equal(one.bert.embeddings.word_embeddings.weight, first.bert.embeddings.word_embeddings.weight)
