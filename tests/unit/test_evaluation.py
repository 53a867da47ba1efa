"""Generation and metrics."""

import datasets
import pytest
import sacrebleu
from rouge_score import rouge_scorer

from pipeline.config.schema import DecodingConfig
from pipeline.evaluation.generate import generate_split, mean_loss
from pipeline.evaluation.metrics import COLUMNS, HEADLINES, lead_baseline, rouge, score_texts

PAIRS = [("the cat sat.", "the cat sat on the mat."), ("dogs bark. cats purr.", "cats purr. dogs barked."), ("", "x")]


def test_rouge_is_the_package_s_own():
    """Means of rouge-score's F1 with stemming, in percent; Lsum sees a sentence a line."""
    scores = rouge([p for p, _ in PAIRS], [r for _, r in PAIRS])
    scorer = rouge_scorer.RougeScorer(["rouge1", "rougeLsum"], use_stemmer=True)
    lines = [(p.replace(". ", ".\n"), r.replace(". ", ".\n")) for p, r in PAIRS]
    for name in ("rouge1", "rougeLsum"):
        expected = sum(100 * scorer.score(r, p)[name].fmeasure for p, r in lines) / len(PAIRS)
        assert scores[name] == pytest.approx(expected)
    assert scores["rouge1"] > 0


def test_bleu_and_chrf_are_sacrebleu_s_own():
    """Corpus scores with the package's defaults, as its command line computes them."""
    predictions, references = ["the cat sat on a mat.", "hello there world"], ["the cat sat on the mat.", "hello world"]
    scores = score_texts("bleu", predictions, references)
    assert scores["bleu"] == sacrebleu.corpus_bleu(predictions, [references]).score > 0
    assert scores["chrf"] == sacrebleu.corpus_chrf(predictions, [references]).score > 0
    assert scores["generated_words"] == 4.5


@pytest.mark.parametrize("metric", COLUMNS)
def test_every_column_is_scored(metric):
    """The table finds what it shows; the headline is one of them."""
    scores = score_texts(metric, ["a b c d e"], ["a b c d e"])
    assert set(COLUMNS[metric]) == set(scores)
    assert scores[HEADLINES[metric]] > 0


def test_the_baseline_is_as_long_as_references_are_on_average():
    """The first words of the source."""
    assert lead_baseline(["a b c d", "e f"], ["x y z", "x"]) == ["a b", "e f"]


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


def test_the_checkpoint_s_own_decoding_settings_do_not_matter(tiny_teacher, tiny_tokenizer, split):
    """Teacher and students decode alike, whatever generation_config.json a checkpoint brings."""
    settings = {"rank": 0, "num_ranks": 1, "gather": lambda x: [x], "batch_tokens": 40}
    decoding = DecodingConfig(num_beams=2, max_length=9)
    plain = generate_split(tiny_teacher, tiny_tokenizer, split, decoding, **settings)
    tiny_teacher.generation_config.update(forced_bos_token_id=0, no_repeat_ngram_size=1, min_length=8, num_beams=5)
    assert generate_split(tiny_teacher, tiny_tokenizer, split, decoding, **settings) == plain


def test_the_mean_loss_is_that_of_the_whole_split(tiny_teacher, split):
    """Sums over ranks divided once."""
    parts = []
    for rank in range(2):
        mean_loss(tiny_teacher, split, batch_tokens=60, rank=rank, num_ranks=2, gather=lambda x: parts.append(x) or [x])
    alone = mean_loss(tiny_teacher, split, batch_tokens=60, rank=0, num_ranks=1, gather=lambda x: [x])
    together = mean_loss(tiny_teacher, split, batch_tokens=60, rank=0, num_ranks=2, gather=lambda _: parts)
    assert together == pytest.approx(alone, rel=1e-6)
