"""Generation and metrics."""

import contextlib

import datasets
import pytest
import sacrebleu
import torch
from rouge_score import rouge_scorer

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.task import DecodingConfig, TaskConfig
from pipeline.evaluation.generate import generate_split
from pipeline.evaluation.latency import measure_side_by_side
from pipeline.evaluation.metrics import COLUMNS, HEADLINES, headline_each, rouge, score_texts, trivial_predictions
from pipeline.evaluation.predict import mean_states, predict_labels, target_probabilities, token_scores
from pipeline.models.load import load_teacher
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.evaluate import read_predictions, write_predictions

PAIRS = [("the cat sat.", "the cat sat on the mat."), ("dogs bark. cats purr.", "cats purr. dogs barked."), ("", "x")]


def test_rouge_is_the_package_s_own():
    """Means of rouge-score's F1 with stemming, in percent; Lsum sees a sentence a line."""
    scores = rouge([p for p, _ in PAIRS], [[r] for _, r in PAIRS])
    scorer = rouge_scorer.RougeScorer(["rouge1", "rougeLsum"], use_stemmer=True)
    lines = [(p.replace(". ", ".\n"), r.replace(". ", ".\n")) for p, r in PAIRS]
    for name in ("rouge1", "rougeLsum"):
        expected = sum(100 * scorer.score(r, p)[name].fmeasure for p, r in lines) / len(PAIRS)
        assert scores[name] == pytest.approx(expected)
    assert scores["rouge1"] > 0


def test_bleu_and_chrf_are_sacrebleu_s_own():
    """Corpus scores with the package's defaults, as its command line computes them."""
    predictions, references = ["the cat sat on a mat.", "hello there world"], ["the cat sat on the mat.", "hello world"]
    scores = score_texts("bleu", predictions, [[text] for text in references])
    assert scores["bleu"] == sacrebleu.corpus_bleu(predictions, [references]).score > 0
    assert scores["chrf"] == sacrebleu.corpus_chrf(predictions, [references]).score > 0
    assert scores["generated_words"] == 4.5


@pytest.mark.parametrize("metric", COLUMNS)
def test_every_column_is_scored(metric):
    """The table finds what it shows; the headline is one of them."""
    scores = score_texts(metric, ["a b c d e", "f g h i"], [["a b c d e"], ["f g h i"]])
    assert set(COLUMNS[metric]) <= set(scores)
    best = HEADLINES[metric]
    assert [scores[best], scores[f"{best}_low"], scores[f"{best}_high"]] == pytest.approx([100] * 3)


@pytest.mark.parametrize(
    ("metric", "expected"), [("rouge", ["a b", "e f"]), ("bleu", ["a b c d", "e f"]), ("accuracy", ["x", "x"])]
)
def test_the_baseline_needs_no_model(metric, expected):
    """First words of the source, as many as references have on average; the source itself; the likeliest label."""
    sources, references = ["a b c d", "e f"], [["x y z"], ["x"]]
    assert trivial_predictions(metric, sources, references, ["x", "y", "x"]) == expected


def on_ranks(function, *inputs, batch_tokens, num_ranks):
    """What a sharded function returns on the last of its ranks, run one after the other."""
    parts = []

    def gather(part):
        parts.append(part)
        return parts

    for rank in range(num_ranks):
        with contextlib.suppress(KeyError):  # until the last rank has said what it knows
            result = function(*inputs, batch_tokens=batch_tokens, rank=rank, num_ranks=num_ranks, gather=gather)
    return result


@pytest.fixture
def split(make_rows):
    rows = [(source, target) for source, target in make_rows(11)]
    columns = {"input_ids": [s for s, _ in rows], "labels": [t for _, t in rows]}
    columns |= {"source_tokens": [len(s) for s, _ in rows], "target_tokens": [len(t) for _, t in rows]}
    return datasets.Dataset.from_dict(columns)


@pytest.mark.parametrize("decoding", [DecodingConfig(max_length=9), DecodingConfig(num_beams=3, max_length=9)])
def test_ranks_together_generate_what_one_rank_generates(tiny_teacher, tiny_tokenizer, split, decoding):
    """Every example exactly once, in the split's order, greedy and beam search."""

    def generate(rank, num_ranks, gather):
        return generate_split(
            tiny_teacher,
            tiny_tokenizer,
            split,
            decoding,
            batch_tokens=40,
            rank=rank,
            num_ranks=num_ranks,
            gather=gather,
        )

    alone = generate(0, 1, lambda part: [part])
    parts = []
    for rank in range(3):
        with pytest.raises(KeyError):  # a third is not the whole
            generate(rank, 3, lambda part: parts.append(part) or [part])
    merged = generate(0, 3, lambda _: parts)
    assert len(alone) == 11
    assert merged == alone


def test_neither_batch_size_nor_ranks_change_what_a_packed_student_says(tiny_teacher, tiny_tokenizer, split):
    """Recipe `best`: scales per token see no padding and no batch mates; also with beams."""
    quantization = load_config(SweepJob, ["recipe=best"]).recipe.quantization
    student = build_student(tiny_teacher, [0, 1], [1], dropout=0.0).eval()
    with torch.no_grad():
        for matrix in (parameter for parameter in student.parameters() if parameter.dim() > 1):
            matrix.mul_(4)  # random weights as they are say the same of every source
    scheme = scheme_of("2-2-8", quantization)
    prepare_student(student, scheme)
    convert(student, sites_of(student), scheme)

    inputs = (student, tiny_tokenizer, split, DecodingConfig(num_beams=3, max_length=9))
    one_by_one = on_ranks(generate_split, *inputs, batch_tokens=1, num_ranks=1)
    assert len(set(one_by_one)) > 3
    for batch_tokens, num_ranks in ((40, 1), (1000, 1), (40, 2), (1000, 3)):
        assert on_ranks(generate_split, *inputs, batch_tokens=batch_tokens, num_ranks=num_ranks) == one_by_one


def test_models_are_timed_in_turns_on_a_clock_of_their_own():
    """Nobody is always first; first calls do not count; percentiles, tokens and batches are those of each."""
    calls, now = [], [0.0]

    def run(name, seconds_per_source):
        def call(sources):
            calls.append((name, len(sources)))
            now[0] += seconds_per_source * len(sources)
            return 10 * len(sources)

        return call

    runs, rows = {"slow": run("slow", 0.4), "fast": run("fast", 0.1)}, [{"input_ids": [1, 2]}] * 40
    speeds = measure_side_by_side(runs, rows, num_single=3, batch_tokens=200, clock=lambda: now[0])
    assert calls[:6] == [("slow", 1), ("fast", 1), ("slow", 1), ("fast", 1), ("fast", 32), ("slow", 32)]
    assert [num for _, num in calls] == [1] * 4 + [32] * 2 + [1] * 4 + [32] * 4
    assert [speeds["slow"].latency_p50_ms, speeds["slow"].latency_p95_ms] == pytest.approx([400, 400])
    assert speeds["fast"].ms_per_token == pytest.approx(10)
    assert speeds["fast"].tokens_per_second == pytest.approx(100)
    calls.clear()
    runs = {"slow": run("slow", 400.0)}
    slow = measure_side_by_side(runs, rows, num_single=30, batch_tokens=5, clock=lambda: now[0])["slow"]
    assert [num for _, num in calls] == [1, 1, 2]  # the others wait: no more rounds, and a batch that fits
    assert slow.tokens_per_second == pytest.approx(1 / 40)


def test_labels_come_from_all_ranks_in_the_split_s_order(tiny_tokenizer, split):
    """The likeliest label of each example, whatever the batches."""
    shape = ArchitectureConfig(d_model=16, ffn_dim=16, num_heads=2, encoder_layers=2, max_positions=64)
    model, labels = ModelConfig(family="bert", architecture=shape), ["no", "yes", "maybe"]
    task = TaskConfig(objective="classification", metric="accuracy")
    classifier = load_teacher(model, tiny_tokenizer, task, seed=0, labels=labels).eval()
    choices = [int(classifier(input_ids=torch.tensor([ids])).logits.argmax()) for ids in split["input_ids"][:]]
    for batch_tokens, num_ranks in ((1, 1), (1000, 1), (60, 3)):
        found = on_ranks(predict_labels, classifier, split, labels, batch_tokens=batch_tokens, num_ranks=num_ranks)
        assert found == [labels[choice] for choice in choices]


def test_a_classifier_is_as_sure_as_its_softmax_says(tiny_tokenizer, split):
    """The probability of the label that an example has; states are means over its own tokens, without padding."""
    shape = ArchitectureConfig(d_model=16, ffn_dim=16, num_heads=2, encoder_layers=2, max_positions=64)
    task = TaskConfig(objective="classification", metric="accuracy")
    classifier = load_teacher(
        ModelConfig(family="bert", architecture=shape), tiny_tokenizer, task, 0, ["a", "b"]
    ).eval()
    labelled = split.remove_columns(["labels", "target_tokens"]).add_column("labels", [[1]] * len(split))
    labelled = labelled.add_column("target_tokens", [1] * len(split))
    found = on_ranks(target_probabilities, classifier, labelled, batch_tokens=1000, num_ranks=2)
    states = on_ranks(mean_states, classifier, labelled, batch_tokens=1000, num_ranks=1)
    for row, ids in enumerate(split["input_ids"][:]):
        single = torch.tensor([ids])
        assert found[row] == pytest.approx(float(classifier(input_ids=single).logits.softmax(-1)[0, 1]), rel=1e-5)
        mean = classifier.base_model(input_ids=single).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(states[row], mean.detach(), atol=1e-5, rtol=1e-5)


def test_a_text_is_as_likely_as_the_geometric_mean_of_its_tokens(tiny_teacher, split):
    """Teacher-forced, over the tokens of the text alone; states are the encoder's."""
    found = on_ranks(target_probabilities, tiny_teacher, split, batch_tokens=1000, num_ranks=2)
    states = on_ranks(mean_states, tiny_teacher, split, batch_tokens=60, num_ranks=1)
    for row, (ids, labels) in enumerate(zip(split["input_ids"][:], split["labels"][:], strict=True)):
        source, target = torch.tensor([ids]), torch.tensor([labels])
        loss = tiny_teacher(input_ids=source, labels=target).loss
        assert found[row] == pytest.approx(float(torch.exp(-loss)), rel=1e-4)
        mean = tiny_teacher.get_encoder()(input_ids=source).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(states[row], mean.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("metric", "name"), [("rouge", "rougeLsum"), ("bleu", "chrf"), ("accuracy", "accuracy")])
def test_one_prediction_has_the_score_of_a_split_of_one(metric, name):
    """ROUGE-Lsum, chrF, right or wrong; the best of several references counts where there are several."""
    said, references = ["the cat sat", "dogs"], [["the cat sat on it"], ["dogs"]]
    each = headline_each(metric, said, references)
    for row in range(2):
        alone = score_texts(metric, said[row : row + 1], references[row : row + 1], intervals=False)
        assert each[row] == pytest.approx(alone[name])
    assert headline_each("bleu", ["dogs"], [["cats", "dogs"]]) == [pytest.approx(100)]


def test_the_checkpoint_s_own_decoding_settings_do_not_matter(tiny_teacher, tiny_tokenizer, split):
    """Teacher and students decode alike, whatever generation_config.json a checkpoint brings."""
    settings = {"rank": 0, "num_ranks": 1, "gather": lambda x: [x], "batch_tokens": 40}
    decoding = DecodingConfig(num_beams=2, max_length=9)
    plain = generate_split(tiny_teacher, tiny_tokenizer, split, decoding, **settings)
    tiny_teacher.generation_config.update(forced_bos_token_id=0, no_repeat_ngram_size=1, min_length=8, num_beams=5)
    assert generate_split(tiny_teacher, tiny_tokenizer, split, decoding, **settings) == plain


def test_the_mean_loss_is_that_of_the_whole_split(tiny_teacher, split):
    """Sums over ranks divided once; so is the share of tokens that are the likeliest."""
    parts = []

    def scores(rank, num_ranks, gather):
        return token_scores(tiny_teacher, split, batch_tokens=60, rank=rank, num_ranks=num_ranks, gather=gather)

    for rank in range(2):
        scores(rank, 2, lambda part: parts.append(part) or [part])
    alone, together = scores(0, 1, lambda part: [part]), scores(0, 2, lambda _: parts)
    assert together.loss == pytest.approx(alone.loss, rel=1e-6)
    assert together.accuracy == alone.accuracy


def test_predictions_are_read_as_they_were_written(tmp_path):
    """Line separators of other alphabets, quotes and emptiness included."""
    texts, references = ["a\u2028b\x85c\nd", '"ü"', ""], [["x\u2029"], ["y", "z"], ["w"]]
    write_predictions(tmp_path / "p.jsonl", datasets.Dataset.from_dict({"references": references}), texts)
    assert read_predictions(tmp_path / "p.jsonl") == (texts, references)
